#!/usr/bin/env bash
# Tests the Lua modules in LuaJIT and in the installed nginx: run.sh [arguments of unittest].
#
# RELEASE_DIR names the directory of libshmetrics.so, if it is not target/release. Needs luajit
# (package luajit2), nginx with libnginx-mod-http-lua, and python3. As root, the workers of nginx
# are www-data's. With nginx-dev, the modules of bindings/nginx count on the same page. LUA_PROGRAM
# names another program than the tests.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
release=${RELEASE_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
export PATH=$PATH:/usr/sbin
if ! command -v luajit > /dev/null; then
    echo 'skipped: Lua (the package luajit2 is not installed; scripts/setup.sh test)'
    exit 0
fi
if [[ ! -e $release/libshmetrics.so ]]; then
    echo "run.sh: $release/libshmetrics.so is missing; run \`cargo build --release\` first" >&2
    exit 2
fi
# Workers read the modules and the library as another user, who may not get into this tree.
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
chmod 755 "$place"
cp "$here"/../*.lua "$here"/*.lua "$place/"
cp "$release/libshmetrics.so" "$place/libshmetrics.so.0.1"
chmod 644 "$place"/*.lua
unset SHMETRICS_SEGMENT SHMETRICS_DIR SHMETRICS_TRUST SHMETRICS_OWNER SHMETRICS_GROUP SHMETRICS_MODE SHMETRICS_MAX_SIZE SHMETRICS_LE
export LUA_PLACE=$place LD_LIBRARY_PATH=$place LUA_PATH="$place/?.lua;;" PYTHONDONTWRITEBYTECODE=1

# The modules of bindings/nginx, as their own tests build them.
export NGINX_MODULE='' NGINX_STREAM_MODULE='' NGINX_STREAM=''
if command -v nginx > /dev/null && [[ -e ${NGINX_SOURCE:-/usr/share/nginx/src}/conf_flags ]]; then
    . "$root/bindings/nginx/tests/prepare.sh"
    NGINX_MODULE=$built/ngx_http_shmetrics_module.so NGINX_STREAM_MODULE=$built/ngx_stream_shmetrics_module.so NGINX_STREAM=${stream-}
fi
python=python3
[[ -x $root/target/venv/bin/python ]] && python=$root/target/venv/bin/python # has prometheus_client, if tests were set up
cd "$here"
"$python" "${LUA_PROGRAM:-main.py}" "$@"
