#!/usr/bin/env bash
# Builds the server and the benchmark guided by a profile: both are built once so that they count what they run, the benchmark's
# own load trains them, and both are built again with what was counted. Takes four times as long as a release.
#
#   benches/guided.sh              target/guided/<machine>/release/completiond, and the benchmark beside it
#   benches/guided.sh --measure    and then the benchmark, of the one with the other; further arguments are the benchmark's
#
# Needs rustup's component `llvm-tools`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

machine=$(rustc -vV | sed -n 's/^host: //p')
merge="$(rustc --print target-libdir)/../bin/llvm-profdata"
[[ -x $merge ]] || { echo "llvm-profdata is not there: rustup component add llvm-tools" >&2; exit 1; }
guided=$PWD/target/guided

# Builds what is measured and what measures with these flags into a folder, and says where the benchmark is. With a target named,
# build scripts and macros are built without the flags.
build() { # FOLDER FLAGS
    export CARGO_TARGET_DIR=$1 RUSTFLAGS=$2
    cargo build --locked --release --target "$machine" --bin completiond >&2
    cargo bench --locked --target "$machine" --bench gateway --no-run --message-format json \
        | sed -n 's/.*"executable":"\([^"]*\/gateway-[^"]*\)".*/\1/p' | tail -n 1
    unset CARGO_TARGET_DIR RUSTFLAGS
}

rm -rf "$guided/profiles"
mkdir -p "$guided/profiles"
# The counters are files from the beginning: some of those who are trained are ended and do not end by themselves.
trained=$(build "$guided/train" "-Cprofile-generate=$guided/profiles -Cllvm-args=-runtime-counter-relocation")
COMPLETIOND=$guided/train/$machine/release/completiond LLVM_PROFILE_FILE="$guided/profiles/%p%c.profraw" \
    "$trained" --bench --quick --rounds 1 --only calls,events,latency,start >&2
"$merge" merge --sparse -o "$guided/all.profdata" "$guided"/profiles/*.profraw
measuring=$(build "$guided" "-Cprofile-use=$guided/all.profdata -Cllvm-args=-pgo-warn-missing-function=false")
echo "$guided/$machine/release/completiond"
if [[ ${1:-} == --measure ]]; then
    COMPLETIOND=$guided/$machine/release/completiond "$measuring" --bench "${@:2}"
fi
