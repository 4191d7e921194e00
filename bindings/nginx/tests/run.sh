#!/usr/bin/env bash
# Builds the module against the installed nginx and tests it there: run.sh [arguments of unittest].
#
# RELEASE_DIR names the directory of libshmetrics.so, if it is not target/release. Needs nginx,
# nginx-dev, a C compiler and python3. NGINX_VTS names the file of nginx-module-vts, built for this
# nginx, to compare the preset with. As root, the workers are www-data's; else all is one user's.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
release=${RELEASE_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
work=${NGINX_TESTS:-$root/target/nginx-tests}
if ! PATH=$PATH:/usr/sbin command -v nginx > /dev/null || [[ ! -e ${NGINX_SOURCE:-/usr/share/nginx/src}/conf_flags ]]; then
    echo 'skipped: nginx (the packages nginx and nginx-dev are not installed; scripts/setup.sh nginx)'
    exit 0
fi
if [[ ! -e $release/libshmetrics.so ]]; then
    echo "run.sh: $release/libshmetrics.so is missing; run \`cargo build --release\` first" >&2
    exit 2
fi
export PATH=$PATH:/usr/sbin
mkdir -p "$work/lib"
# A copy: workers read it as another user, and a build must not replace it under them.
cp -f --remove-destination "$release/libshmetrics.so" "$work/lib/libshmetrics.so"
soname=$(readelf -d "$release/libshmetrics.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
ln -sf libshmetrics.so "$work/lib/$soname"
SHMETRICS_LIB=$work/lib RPATH=$work/lib "$root/bindings/nginx/build.sh" "$work/build" > /dev/null
for program in app remove; do
    ${CC:-cc} -O1 -Wall -Wextra -Werror -I"$root/include" -o "$work/$program" "$here/$program.c" -L"$work/lib" -lshmetrics "-Wl,-rpath,$work/lib"
done
unset SHMETRICS_SEGMENT SHMETRICS_DIR SHMETRICS_TRUST SHMETRICS_OWNER SHMETRICS_GROUP SHMETRICS_MODE SHMETRICS_MAX_SIZE SHMETRICS_LE
stream=$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')/ngx_stream_module.so
[[ -e $stream ]] || stream=
export NGINX_STREAM=${NGINX_STREAM-$stream} NGINX_STREAM_MODULE=$work/build/ngx_stream_shmetrics_module.so
export NGINX_MODULE=$work/build/ngx_http_shmetrics_module.so NGINX_APP=$work/app NGINX_REMOVE=$work/remove PYTHONDONTWRITEBYTECODE=1
python=python3
[[ -x $root/target/venv/bin/python ]] && python=$root/target/venv/bin/python # has prometheus_client, if tests were set up
cd "$here"
exec "$python" main.py "$@"
