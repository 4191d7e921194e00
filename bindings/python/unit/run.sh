#!/usr/bin/env bash
# The unit tests of the package, in the virtual environment that tests/run.sh has installed it in;
# the sdist, built and installed in another; the type stubs.
#
#   bindings/python/unit/run.sh [arguments of pytest]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$root/target/python-tests/$("${PYTHON:-python3}" -c 'import sysconfig; print(sysconfig.get_python_version())')
python=$work/venv/bin/python
[[ -x $python ]] || {
    echo 'skipped: unit tests of the Python package (no virtual environment: run bindings/python/tests/run.sh first)'
    exit 0
}
"$python" -m pip --quiet --disable-pip-version-check install 'mypy>=1.18' || echo 'skipped: type stubs (mypy cannot be installed)'
status=0
export PYTHONDONTWRITEBYTECODE=1
(cd "$here" && "$python" -m pytest -q -p no:cacheprovider -n "${PYTEST_PROCESSES:-4}" "$@") || status=1
if "$python" -c 'import mypy' 2> /dev/null; then
    (cd "$here/.." && MYPY_CACHE_DIR=$work/mypy "$python" -m mypy --strict --python-version 3.10 python/shmetrics) || status=1
fi

# What `pip install` makes of the sdist: it compiles all of it, so only at length.
if [[ -n ${SHMETRICS_LONG:-} ]]; then
    rm -rf "$work/sdist" "$work/sdist-venv"
    "$work/venv/bin/maturin" sdist --quiet --manifest-path "$here/../Cargo.toml" --out "$work/sdist" \
        && "$python" -m venv "$work/sdist-venv" \
        && "$work/sdist-venv/bin/python" -m pip --quiet --disable-pip-version-check install "$work"/sdist/*.tar.gz \
        && (cd / && "$work/sdist-venv/bin/python" -c 'import shmetrics; assert shmetrics.Segment(anonymous=True).path is None') \
        || status=1
fi
exit "$status"
