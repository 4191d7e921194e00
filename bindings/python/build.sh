#!/usr/bin/env bash
# Builds the Python package into target/wheels: a wheel for CPython 3.10 and later, one for 3.9 where a python3.9 is there, and the
# sdist. `build.sh wheel` builds the first alone.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
maturin=$root/target/venv/bin/maturin
[[ -x $maturin ]] || maturin=$(command -v maturin) || {
    echo 'skipped: the Python package (no maturin; pip install maturin)'
    exit 1
}
export CARGO_TARGET_DIR=$root/target/python
mkdir -p "$root/target/wheels"
"$maturin" build --release --locked --interpreter python3 --out "$root/target/wheels"
[[ ${1:-} != wheel ]] || exit 0
"$maturin" sdist --out "$root/target/wheels"
if python3.9 -c '' 2> /dev/null; then
    "$maturin" build --release --locked --no-default-features --features py39 --interpreter python3.9 --out "$root/target/wheels"
else
    echo 'skipped: a wheel for CPython 3.9 (no python3.9)'
fi
