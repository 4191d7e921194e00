#!/usr/bin/env bash
# Builds the wheel, installs it in a virtual environment of its own and tests it there, with
# prometheus_client, its libraries and the servers that people use.
#
#   bindings/python/tests/run.sh [arguments of pytest]
#
# PYTHON is the interpreter (python3), PYTEST_PROCESSES (4) run side by side: they mostly wait.
# SHMETRICS_LONG=1 puts servers under load for minutes, and builds and installs from the source
# distribution first. What cannot be had is named in a line `skipped: ...`.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
python=${PYTHON:-python3}
sdists=(prometheus_client==0.26.0 prometheus_flask_exporter==0.23.2)

missing() {
    echo "skipped: Python ($1)"
    echo '0 passed, 0 failed, 1 skipped'
    exit 0
}

command -v "$python" > /dev/null || missing "no $python"
work=$root/target/python-tests/$("$python" -c 'import sysconfig; print(sysconfig.get_python_version())')
venv=$work/venv
pip=("$venv/bin/python" -m pip --quiet --disable-pip-version-check)
mkdir -p "$work/sdists"
stamp=$(cat "$here"/requirements*.txt <(echo "${sdists[@]}") | sha256sum | cut -d " " -f 1)
if [[ $(cat "$work/stamp" 2> /dev/null) != "$stamp" ]]; then
    rm -rf "$venv"
    "$python" -m venv "$venv" || missing 'no virtual environment; apt-get install python3-venv'
    "${pip[@]}" install -r "$here/requirements.txt" || missing 'tests/requirements.txt cannot be installed; is there a network?'
    # It is compiled here. Its tests say that they are skipped where it cannot be.
    "${pip[@]}" install -r "$here/requirements-uwsgi.txt" > "$work/uwsgi.log" 2>&1 || true
    for sdist in "${sdists[@]}"; do
        "${pip[@]}" download --no-deps --no-binary "${sdist%%==*}" --dest "$work/sdists" "$sdist" || true
    done
    for archive in "$work"/sdists/*.tar.gz; do
        tar -xzf "$archive" -C "$work/sdists"
    done
    echo "$stamp" > "$work/stamp"
fi
"$here/frameworks/install.sh" "$venv/bin/python" "$work/versions"

# The package as its users get it. Only at length is it optimised as theirs, which takes minutes.
profile=()
[[ -n ${SHMETRICS_LONG:-} ]] || profile=(CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 COMMAND_OPT_LEVEL=1)
rm -f "$root"/target/wheels/shmetrics-*
if ! env "${profile[@]}" "PATH=$venv/bin:$PATH" "$here/../build.sh" ${SHMETRICS_LONG:-wheel} > "$work/build.log" 2>&1; then
    cat "$work/build.log"
    grep -q '^skipped: ' "$work/build.log" && missing 'the wheel is not built'
    exit 1
fi
if [[ -n ${SHMETRICS_LONG:-} ]]; then
    "${pip[@]}" install --force-reinstall --no-deps "$root"/target/wheels/shmetrics-*.tar.gz || exit 1
    "$venv/bin/python" -c 'import shmetrics' || exit 1
fi
"${pip[@]}" install --force-reinstall --no-deps "$root"/target/wheels/shmetrics-*-cp310-abi3-*.whl || exit 1

TMPDIR=$(mktemp -d)
TESTS_SHM=$(mktemp -d /dev/shm/python-tests.XXXXXX)
chmod 755 "$TMPDIR" "$TESTS_SHM" # some tests are other users
trap 'rm -rf "$TMPDIR" "$TESTS_SHM"' EXIT
export TMPDIR TESTS_SHM PYTHONDONTWRITEBYTECODE=1 SHMETRICS_SDISTS=$work/sdists
# Without pytest's own closing line: there is one more like those of the project's other tests.
(cd "$here" && "$venv/bin/python" -m pytest -q --no-header -n "${PYTEST_PROCESSES:-4}" --dist worksteal "$@") \
    | grep -vE '^=*( ?[0-9]+ [a-z]+,?)+ in [0-9.]+s'
status=${PIPESTATUS[0]}
left=$(ls -A "$TESTS_SHM")
if [[ -n $left ]]; then
    echo "left behind in shared memory: $left"
    status=1
fi
exit "$status"
