#!/usr/bin/env bash
# The server and the benchmark, guided by a profile: what was counted while the benchmark's own load ran tells the compiler which
# code runs often. `data/guided.profdata.xz` is that profile, and the image is built with it as well.
#
#   benches/guided.sh build            target/guided/completiond, and the benchmark beside it
#   benches/guided.sh measure [...]    and then the benchmark, of the one with the other; what follows are its arguments
#   benches/guided.sh train            counts anew and writes the profile: when calls take another way than before, and with
#                                      another version of the compiler, which knows only functions of its own
#
# Needs xz, and to train rustup's component `llvm-tools`.
set -euo pipefail
# What fails within `$(...)` ends this as well.
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

profile=data/guided.profdata.xz
guided=$PWD/target/guided
machine=$(rustc -vV | sed -n 's/^host: //p')

# Builds what is measured and what measures with these flags into a folder, and says where the benchmark is. With a target named,
# build scripts and macros are built without the flags. The server is put aside: with the benchmark another one is built in its
# place, of crates as tests have them.
build() { # FOLDER FLAGS
    export CARGO_TARGET_DIR=$1 RUSTFLAGS=$2
    cargo build --locked --release --target "$machine" --bin completiond >&2
    cp "$1/$machine/release/completiond" "$1/completiond"
    cargo bench --locked --target "$machine" --bench gateway --no-run --message-format json \
        | sed -n 's/.*"executable":"\([^"]*\/gateway-[^"]*\)".*/\1/p' | tail -n 1
    unset CARGO_TARGET_DIR RUSTFLAGS
}

train() {
    local merge counted=$guided/counted trained
    merge="$(rustc --print target-libdir)/../bin/llvm-profdata"
    [[ -x $merge ]] || { echo "llvm-profdata is not there: rustup component add llvm-tools" >&2; exit 1; }
    rm -rf "$counted" && mkdir -p "$counted"
    trained=$(build "$guided/train" "-Cprofile-generate=$counted")
    COMPLETIOND=$guided/train/completiond LLVM_PROFILE_FILE="$counted/%p.profraw" \
        "$trained" --bench --quick --rounds 1 --only calls,events,latency,start >&2
    "$merge" merge --sparse -o "$guided/counted.profdata" "$counted"/*.profraw
    xz --stdout -9 "$guided/counted.profdata" > "$profile"
    echo "$profile"
}

# The same flags as those of the Dockerfile.
build_guided() {
    mkdir -p "$guided"
    xz --decompress --stdout "$profile" > "$guided/unpacked"
    # All is built again behind a profile that is newer.
    cmp --silent "$guided/unpacked" "$guided/guided.profdata" || mv "$guided/unpacked" "$guided/guided.profdata"
    build "$guided" "-Cprofile-use=$guided/guided.profdata -Cllvm-args=-pgo-warn-missing-function=false \
-Clink-arg=-Wl,-z,keep-text-section-prefix"
}

case ${1:-} in
    train) train ;;
    build)
        build_guided > /dev/null
        echo "$guided/completiond"
        ;;
    measure)
        measuring=$(build_guided)
        COMPLETIOND=$guided/completiond "$measuring" --bench "${@:2}"
        ;;
    *)
        sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac
