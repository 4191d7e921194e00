#!/usr/bin/env bash
# Builds all contestants, measures every part, and writes the tables of docs/benchmarks.md and
# docs/benchmarks/notes.md, and docs/benchmarks/*.svg: `make bench`.
#
# Raw results are in target/bench/results. BENCH_FULL=1 takes more rounds and larger sizes. Parts
# can be named, as in `run.sh updates pages`; the others are then reported as they were measured
# last.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
here=benches/rivals
results=target/bench/results
mkdir -p "$results"

[[ $(uname -sm) == 'Linux x86_64' ]] || {
    echo 'skipped: benchmarks against rivals (for Linux on x86_64)'
    exit 0
}
full=${BENCH_FULL:-0}
[[ $full == 0 ]] || full=1
export BENCH_FULL=$full

echo '== building'
cargo build --release --quiet --manifest-path $here/Cargo.toml --target-dir target/rivals
$here/native/build.sh target/bench/native
harness=$root/target/rivals/release/shmetrics-rivals
export BENCH_NATIVE=$root/target/bench/native

python=$root/target/bench/venv/bin/python
if [[ ! -x $python ]] || ! "$python" -c 'import matplotlib, prometheus_client' 2> /dev/null; then
    if ! { python3 -m venv target/bench/venv && "$python" -m pip install --quiet --disable-pip-version-check -r $here/requirements.txt; }; then
        echo 'skipped: Python prometheus_client, tables and plots (no virtual environment, or pip install failed)'
        python=
    fi
fi
export BENCH_PYTHON=$python

measure() { # part, command...
    local part=$1
    shift
    echo "== $part"
    if "$@" > "$results/$part.new"; then
        mv "$results/$part.new" "$results/$part.json"
    else
        echo "FAILED: $part"
        failed=1
    fi
}

with_files() { # a directory for Python's files, on the disk or wherever TMPDIR is
    local directory
    directory=$(mktemp -d)
    local status=0
    PROMETHEUS_MULTIPROC_DIR=$directory "$python" "$here"/python_client.py "$@" || status=$?
    rm -rf "$directory"
    return $status
}

instructions() {
    local out=$root/target/bench/callgrind
    rm -rf "$out"
    mkdir -p "$out"
    valgrind --tool=callgrind --callgrind-out-file="$out/out" --toggle-collect=bench_counted --dump-after=bench_counted \
        "$harness" instructions > "$out/order.json" 2> "$out/log" || return
    python3 "$here"/report/callgrind.py "$out"
}

failed=0
measure machine python3 "$here"/report/machine.py
parts=("$@")
((${#parts[@]})) || parts=(updates crowd pages fresh memory scraped workers forks python instructions)
for part in "${parts[@]}"; do
    case $part in
    python)
        [[ -n $python ]] || continue
        dead=(8 100 1000)
        [[ $full == 0 ]] || dead+=(10000)
        measure python_workers with_files workers "${dead[@]}"
        measure python_memory with_files memory 10000
        ;;
    instructions)
        if command -v valgrind > /dev/null; then
            measure instructions instructions
        else
            echo 'skipped: instructions (no valgrind)'
        fi
        ;;
    *) measure "$part" "$harness" "$part" ;;
    esac
done
if [[ -n $python ]]; then
    echo '== report'
    "$python" "$here"/report/report.py "$results" docs/benchmarks docs/benchmarks.md docs/benchmarks/notes.md
fi
exit $failed
