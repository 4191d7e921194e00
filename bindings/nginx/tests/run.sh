#!/usr/bin/env bash
# Builds the module against the installed nginx and tests it there: run.sh [arguments of unittest].
#
# RELEASE_DIR names the directory of libshmetrics.so, if it is not target/release. Needs nginx,
# nginx-dev, a C compiler and python3. NGINX_VTS names the file of nginx-module-vts, built for this
# nginx, to compare the preset with. As root, the workers are www-data's; else all is one user's.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/prepare.sh"
for program in app remove; do
    ${CC:-cc} -O1 -Wall -Wextra -Werror -I"$root/include" -o "$work/$program" "$here/$program.c" -L"$work/lib" -lshmetrics "-Wl,-rpath,$work/lib"
done
export NGINX_STREAM=${NGINX_STREAM-${stream:-}} NGINX_STREAM_MODULE=$built/ngx_stream_shmetrics_module.so
export NGINX_MODULE=$built/ngx_http_shmetrics_module.so NGINX_APP=$work/app NGINX_REMOVE=$work/remove PYTHONDONTWRITEBYTECODE=1
python=python3
[[ -x $root/target/venv/bin/python ]] && python=$root/target/venv/bin/python # has prometheus_client, if tests were set up
cd "$here"
exec "$python" main.py "$@"
