#!/usr/bin/env bash
# The server and the benchmark, guided by a profile: what was counted while the benchmark's own load ran tells the compiler which
# code runs often, and the linker which stands together. `data/guided` has that profile, and the image is built with it as well.
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

# The functions that were run, the one with the busiest block first.
in_order() { # LLVM-PROFDATA PROFILE
    "$1" show --all-functions --counts "$2" | awk '
        /^  [^ ].*:$/ { name = $0; sub(/^  /, "", name); sub(/:$/, "", name); sub(/^[^;]*;/, "", name); next }
        /Block counts: \[/ {
            gsub(/.*\[|\]/, "")
            most = 0
            count = split($0, counts, ", ")
            for (i = 1; i <= count; i++) if (counts[i] + 0 > most) most = counts[i] + 0
            if (most > 0) print most "\t" name
        }' | sort -s -k 1,1nr | cut -f 2 | awk '!seen[$0]++'
}

train() {
    local profdata counted=$guided/counted trained
    profdata="$(rustc --print target-libdir)/../bin/llvm-profdata"
    [[ -x $profdata ]] || { echo "llvm-profdata is not there: rustup component add llvm-tools" >&2; exit 1; }
    rm -rf "$counted" && mkdir -p "$counted"
    trained=$(build "$guided/train" "-Cprofile-generate=$counted")
    COMPLETIOND=$guided/train/completiond LLVM_PROFILE_FILE="$counted/%p.profraw" \
        "$trained" --bench --quick --rounds 1 --only calls,events,latency,start,http2 >&2
    "$profdata" merge --sparse -o "$guided/merged" "$counted"/*.profraw
    xz --stdout -9 "$guided/merged" > data/guided/counts.xz
    in_order "$profdata" "$guided/merged" | xz --stdout -9 > data/guided/order.xz
    ls -l data/guided
}

build_guided() {
    mkdir -p "$guided"
    build "$guided" "$(data/guided/flags "$guided")"
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
