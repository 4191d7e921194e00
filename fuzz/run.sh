#!/usr/bin/env bash
# Runs targets under the fuzzing engine, one after another: run.sh RUNS [TARGET...]. Stable Rust is
# enough. `run.sh --build` only builds the targets. `run.sh --flood RUNS [TARGET...]` runs them
# without the engine and its instrumentation. It tries many more inputs in the same time: random
# changes of the kept inputs, and of the inputs that the engine has collected.
#
# FUZZ_SEED=N repeats the inputs of a run, as far as the clock allows. FUZZ_SECONDS=N limits the
# time of each target. FUZZ_ASAN=1 turns the address sanitizer on. FUZZ_WRONG=1 makes the
# oracles wrong, and each target must fail. Inputs that reach new code go to target/fuzz/corpus, and
# inputs that fail go to target/fuzz/found.
set -euo pipefail
cd "$(dirname "$0")/.."

flood=
if [[ ${1:-} == --flood ]]; then
    flood=yes
    shift
fi
runs=${1:?run.sh [--flood] RUNS [TARGET...], or --build}
shift
targets=("$@")
((${#targets[@]})) || targets=(reader mutated sparse names negotiation sequence)

# Segments are made here, and go with us even if a target dies.
segments() {
    SHMETRICS_DIR=$(mktemp -d -p /dev/shm fuzz.XXXXXX)
    export SHMETRICS_DIR
    trap 'rm -rf "$SHMETRICS_DIR"' EXIT
}

if [[ $flood ]]; then
    # The quickest program, for the most inputs.
    export CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
    RUSTFLAGS='--cfg fuzzing' cargo build --quiet --release --manifest-path fuzz/Cargo.toml --bin flood \
        --target-dir target/fuzz/flood
    segments
    failed=0
    for target in "${targets[@]}"; do
        mkdir -p "target/fuzz/found/$target"
        target/fuzz/flood/release/flood "$target" "${FUZZ_SECONDS:-0}" "$runs" "target/fuzz/found/$target" \
            "target/fuzz/corpus/$target" "fuzz/seeds/$target" "fuzz/regressions/$target" || {
            echo "$target failed: its input is in target/fuzz/found/$target"
            failed=1
        }
    done
    exit "$failed"
fi

# The engine's hooks: counters for each edge, and what is compared with what. Not for build scripts,
# hence --target.
flags='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing'
directory=target/fuzz/engine
if [[ ${FUZZ_ASAN:-0} != 0 ]]; then
    export RUSTC_BOOTSTRAP=1 # the sanitizer is an unstable flag
    flags+=' -Zsanitizer=address'
    directory=target/fuzz/asan
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# Each crate by itself: the hooks go in before linking.
CARGO_PROFILE_RELEASE_LTO=off RUSTFLAGS=$flags cargo build --quiet --release --manifest-path fuzz/Cargo.toml --target "$host" \
    --bin reader --bin mutated --bin sparse --bin names --bin negotiation --bin sequence \
    --target-dir "$directory" --features engine
[[ $runs != --build ]] || exit 0

segments
# The engine's progress, and its advice about dictionaries.
noise='^(INFO|WARNING|#[0-9]+[[:space:]]+(NEW|REDUCE|pulse|RELOAD)|[[:space:]]+NEW_FUNC|#{6}|".*# Uses)'
failed=0
for target in "${targets[@]}"; do
    corpus=target/fuzz/corpus/$target found=target/fuzz/found/$target
    kept=("fuzz/seeds/$target")
    [[ ! -d fuzz/regressions/$target ]] || kept+=("fuzz/regressions/$target")
    mkdir -p "$corpus" "$found"
    echo "-- $target"
    # Fewer inputs of the targets that take long: `sparse` maps files and forks processes, and
    # `names` opens a segment for each input.
    case $target in
        sparse) inputs=$(((runs + 9) / 10)) ;;
        names) inputs=$(((runs + 1) / 2)) ;;
        *) inputs=$runs ;;
    esac
    "$directory/$host/release/$target" "$corpus" "${kept[@]}" -runs="$inputs" -max_total_time="${FUZZ_SECONDS:-0}" -seed="${FUZZ_SEED:-0}" \
        -artifact_prefix="$found/" -max_len=8192 -len_control=20 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        2>&1 | tee "target/fuzz/$target.log" | grep -vE "$noise" || {
        echo "$target failed: its input is in $found"
        failed=1
    }
done
exit "$failed"
