#!/usr/bin/env bash
# Measures updates and pages of the Lua modules in nginx: hot_path.sh. ROUNDS, OPERATIONS and SERIES
# set the amount. NGINX_LUA_PROMETHEUS names the sources of nginx-lua-prometheus, which is then
# measured in turn.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
release=${RELEASE_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
work=$root/target/lua-benches
mkdir -p "$work"
cp "$release/libshmetrics.so" "$work/libshmetrics.so"
ln -sf libshmetrics.so "$work/libshmetrics.so.0.1"
${CC:-cc} -O2 -Wall -Wextra -Werror -I"$root/include" -o "$work/calls" "$here/calls.c" -L"$work" -lshmetrics
LUA_CALLS=$work/calls LUA_PROGRAM=$here/hot_path.py exec "$here/../tests/run.sh"
