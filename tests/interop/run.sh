#!/usr/bin/env bash
# Proves with programs of other people that pages are right: prometheus_client, protobuf, promtool, Pushgateway, Prometheus.
#
#   make build && scripts/setup.sh test && tests/interop/run.sh
#
# Whatever of the other programs is missing skips its part and says so. PAGES, SEED, SCRAPE_SECONDS and ROUNDS are
# explained in the programs below; SHMETRICS_LONG=1 sets them to much more.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$root/target/venv/bin/python
watchdog=3600
status=0

if ! "$python" -c 'import prometheus_client' 2>/dev/null; then
    echo "skipped: interoperation (no prometheus_client in target/venv; scripts/setup.sh test)"
    exit 0
fi

if [[ -n ${SHMETRICS_LONG:-} ]]; then
    export PAGES=${PAGES:-3000} FORMAT_PAGES=${FORMAT_PAGES:-10000} SCRAPE_SECONDS=${SCRAPE_SECONDS:-900} ROUNDS=${ROUNDS:-10000}
fi
SHMETRICS_DIR=$(mktemp -d /dev/shm/interop-test.XXXXXX)
TMPDIR=$(mktemp -d)
trap 'rm -rf "$SHMETRICS_DIR" "$TMPDIR"' EXIT
export SHMETRICS_DIR TMPDIR PYTHONDONTWRITEBYTECODE=1
unset SHMETRICS_SEGMENT SHMETRICS_CEILING

run() {
    echo "--- $1"
    timeout "$watchdog" "$python" "$here/$1" || status=$?
}

# As `make demo` does, but for running it.
build_prefork_server() {
    export PREFIX=$root/target/demo-prefix
    DESTDIR='' "$root/packaging/install.sh" >/dev/null
    "$root/examples/prefork/run.sh" --help >/dev/null
}

run pages.py
run formats.py
run scrape_while_writing.py
if command -v prometheus >/dev/null; then
    build_prefork_server
fi
run scrape.py

left=$(ls -A "$SHMETRICS_DIR")
if [[ -n $left ]]; then
    echo "left behind in shared memory: $left"
    status=1
fi
exit "$status"
