# What a developer types. Everything that CI checks is a section of `.ci/run`, so that both run the same commands.

# What there is.
default:
    @just --list

# Everything that must hold before a change is merged.
ci *sections:
    .ci/run {{ sections }}

# Serves with what the environment has: keys, a local model server, else the simulator.
run *arguments:
    cargo run --locked --release -- {{ arguments }}

# Formats the code and the contract.
fmt:
    cargo fmt
    buf format --write

# The lints, as CI has them.
lint:
    .ci/run format clippy

# The tests that need nothing but Rust.
test *filter:
    cargo test --locked {{ filter }}

# The rules of ARCHITECTURE.md alone.
architecture:
    cargo test --locked --test architecture

# The contract: style, and compatibility with the committed baseline.
proto:
    .ci/run schema

# The chart: lint, goldens, what is refused, what the server says of its configuration.
chart:
    .ci/run chart

# Real clients against a real server: grpcurl, buf curl, Python, Go.
clients:
    .ci/run clients

# Every command block of the README.
readme:
    .ci/run readme

# Licences, banned crates and sources of the dependencies; needs cargo-deny.
deny:
    cargo deny --locked check licenses bans sources

# What the server costs against a bare proxy, as a table: `just bench`, `just bench quick`, `just bench --only cache --json`.
bench *arguments:
    cargo build --locked --release
    mkdir -p target/measured && cp target/release/completiond target/measured/
    COMPLETIOND=$PWD/target/measured/completiond cargo bench --locked --bench gateway -- {{ replace_regex(arguments, '^quick\b', '--quick') }}

# The gateways that a user has instead, in the same table: LiteLLM and Portkey, installed once into a cache folder (some 900 MB).
alternatives *arguments:
    benches/with.sh litellm portkey -- {{ just_executable() }} bench {{ arguments }} --only alternatives

# The same of a server and a benchmark that a profile has guided, as the image is built: `just guided measure --quick`, `just guided
# train`. A build takes twice as long as one for `just bench`, and training that again.
guided *arguments:
    benches/guided.sh {{ arguments }}

# The same calls by somebody else's load, ghz, beside our own figures; installed once into a cache folder.
witness *arguments:
    benches/with.sh ghz -- {{ just_executable() }} bench {{ arguments }} --only calls,latency,witness

# The instructions of the parts of a call against their budget; needs valgrind. `UPDATE_BUDGET=1 just micro` writes the budget anew.
micro *names:
    python3 benches/micro/measure.py {{ names }}

# The documentation of the code; broken links fail.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
