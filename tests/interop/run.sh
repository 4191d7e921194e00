#!/usr/bin/env bash
# Proves with programs of other people that pages are right: prometheus_client, Google's protobuf,
# openmetrics-parser, promtool, Pushgateway, VictoriaMetrics, Prometheus.
#
#   make build && scripts/setup.sh test && tests/interop/run.sh
#
# Whatever of the other programs is missing skips its part and says so. PAGES, FORMAT_PAGES,
# GRAMMAR_PAGES, SEED, SCRAPE_SECONDS, FORMAT_SCRAPE_SECONDS, SERVE_SECONDS, PUSH_PAGES and ROUNDS
# are explained in the programs below; SHMETRICS_LONG=1 sets them to much more.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$root/target/venv/bin/python
watchdog=7200
status=0

if ! "$python" -c 'import abnf, prometheus_client, google.protobuf' 2>/dev/null; then
    echo "skipped: interoperation (tests/interop/requirements.txt is not in target/venv; scripts/setup.sh test)"
    exit 0
fi

if [[ -n ${SHMETRICS_LONG:-} ]]; then
    export FORMAT_PAGES=${FORMAT_PAGES:-10000} GRAMMAR_PAGES=${GRAMMAR_PAGES:-200}
    export FORMAT_SCRAPE_SECONDS=${FORMAT_SCRAPE_SECONDS:-300} SERVE_SECONDS=${SERVE_SECONDS:-120} PUSH_PAGES=${PUSH_PAGES:-100}
    export PAGES=${PAGES:-3000} SCRAPE_SECONDS=${SCRAPE_SECONDS:-900} ROUNDS=${ROUNDS:-10000}
fi
SHMETRICS_DIR=$(mktemp -d /dev/shm/interop-test.XXXXXX)
TMPDIR=$(mktemp -d)
trap 'rm -rf "$SHMETRICS_DIR" "$TMPDIR"' EXIT
export SHMETRICS_DIR TMPDIR PYTHONDONTWRITEBYTECODE=1
unset SHMETRICS_SEGMENT SHMETRICS_MAX_SIZE

run() {
    echo "--- $1"
    local start=$SECONDS
    timeout "$watchdog" "$python" "$here/$1" || status=$?
    echo "$1 took $((SECONDS - start)) s"
}

# As `make demo` does, but for running it.
build_prefork_server() {
    export PREFIX=$root/target/demo-prefix
    DESTDIR='' "$root/packaging/install.sh" >/dev/null
    "$root/examples/prefork/run.sh" --help >/dev/null
}

# Into a directory of its own: no part of the library may come to depend on it.
build_rust_parser() {
    cargo build --quiet --release --locked --manifest-path "$here/rust-parser/Cargo.toml" --target-dir "$root/target/rust-parser"
}

build_rust_parser || echo "the Rust parser does not build: is there a network?"
run pages.py
run formats.py
run scrape_while_writing.py
if command -v prometheus >/dev/null; then
    build_prefork_server
fi
run scrape.py
run scrape_formats.py
run serve.py
run live_page.py
run push.py
run monitoring.py
run rehearsal.py
run operators.py

left=$(ls -A "$SHMETRICS_DIR")
if [[ -n $left ]]; then
    echo "left behind in shared memory: $left"
    status=1
fi
exit "$status"
