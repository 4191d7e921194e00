#!/usr/bin/env bash
# Builds the wheel, installs it in a clean virtual environment and tests it there, with prometheus_client, its libraries and the
# servers that people use.
#
#   bindings/python/tests/run.sh [arguments of pytest]
#
# PYTHON is the interpreter (python3). SHMETRICS_LONG=1 puts servers under load for minutes. What cannot be had is named in a line
# `skipped: ...`.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$root/target/python
venv=$work/venv
pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check)
sdists=(prometheus_client==0.26.0 prometheus_flask_exporter==0.23.2)
processes=${PYTEST_PROCESSES:-4} # they mostly wait
mkdir -p "$work/sdists"

missing() {
    echo "skipped: Python ($1)"
    exit 0
}

command -v "${PYTHON:-python3}" > /dev/null || missing "no ${PYTHON:-python3}"
stamp=$(cat "$here/requirements.txt" "$here/run.sh" | sha256sum | cut -d ' ' -f 1)
if [[ $(cat "$work/stamp" 2> /dev/null) != "$stamp" ]]; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv" || missing 'no virtual environment: install python3-venv'
    "${pip[@]}" install -r "$here/requirements.txt" || missing 'tests/requirements.txt cannot be installed: is there a network?'
    # It is compiled here. Its tests say that they are skipped if it cannot be.
    "${pip[@]}" install uWSGI==2.0.31 > "$work/uwsgi.log" 2>&1 || true
    for sdist in "${sdists[@]}"; do
        "${pip[@]}" download --no-deps --no-binary "${sdist%%==*}" --dest "$work/sdists" "$sdist" || true
    done
    for archive in "$work"/sdists/*.tar.gz; do
        tar -xzf "$archive" -C "$work/sdists"
    done
    echo "$stamp" > "$work/stamp"
fi

rm -rf "$work/wheels"
"$venv/bin/maturin" build --quiet --release --manifest-path "$here/../Cargo.toml" --out "$work/wheels" || {
    echo 'the wheel does not build'
    exit 1
}
"${pip[@]}" install --force-reinstall --no-deps "$work"/wheels/*.whl || exit 1

TMPDIR=$(mktemp -d)
trap 'rm -rf "$TMPDIR"' EXIT
export TMPDIR PYTHONDONTWRITEBYTECODE=1 SHMETRICS_SDISTS=$work/sdists
before=$(ls /dev/shm)
(cd "$here" && "$venv/bin/python" -m pytest -q --no-header -n "$processes" --dist worksteal "$@")
status=$?
left=$(comm -13 <(sort <<< "$before") <(find /dev/shm -maxdepth 1 -name 'python-test.*' -printf '%f\n' | sort))
if [[ -n $left ]]; then
    echo "left behind in shared memory: $left"
    status=1
fi
exit "$status"
