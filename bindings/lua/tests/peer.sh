#!/usr/bin/env bash
# Runs the unit tests of nginx-lua-prometheus with our module, and compares the pages of both in
# nginx: peer.sh FOLDER, where FOLDER has its sources.
#
# Needs luajit, and the packages lua-unit and lua-rex-pcre2 for its tests. RELEASE_DIR is as for
# run.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
release=${RELEASE_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
[[ -e ${1:-}/prometheus_test.lua ]] || {
    echo 'peer.sh: usage: peer.sh FOLDER, with the sources of nginx-lua-prometheus' >&2
    exit 2
}
folder=$(cd "$1" && pwd)
NGINX_LUA_PROMETHEUS=$folder "$here/run.sh" test_page
shm=$(mktemp -d -p /dev/shm shmetrics-lua-XXXXXX)
library=$(mktemp -d)
trap 'rm -rf "$shm" "$library"' EXIT
cp "$release/libshmetrics.so" "$library/libshmetrics.so.0.1"
LD_LIBRARY_PATH=$library LUA_PATH="$here/../?.lua;;" luajit "$here/peer_suite.lua" "$folder" "$shm/suite"
