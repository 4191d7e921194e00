#!/usr/bin/env bash
# Builds the nginx modules against the installed nginx: build.sh [DIRECTORY], by default
# target/nginx.
#
# Needs the package nginx-dev. SHMETRICS_LIB names the directory of libshmetrics.so, RPATH the
# directory where nginx finds the library at run time (by default PREFIX/lib), NGINX_CFLAGS more
# flags for the compiler and the linker.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${1:-$root/target/nginx}
source=${NGINX_SOURCE:-/usr/share/nginx/src}
export SHMETRICS_INCLUDE=$root/include
export SHMETRICS_LIB=${SHMETRICS_LIB:-${CARGO_TARGET_DIR:-$root/target}/release}
export SHMETRICS_RPATH=${RPATH:-${PREFIX:-/usr/local}/lib}

if [[ ! -e $source/conf_flags ]] || ! command -v nginx > /dev/null; then
    echo "build.sh: the packages nginx and nginx-dev are not installed" >&2
    exit 2
fi
if [[ ! -e $SHMETRICS_LIB/libshmetrics.so ]]; then
    echo "build.sh: $SHMETRICS_LIB/libshmetrics.so is missing; run \`make build\` first" >&2
    exit 2
fi
if [[ $root$build$SHMETRICS_LIB == *[[:space:]]* ]]; then
    echo "build.sh: nginx cannot be configured in a folder with a space in its name: $root" >&2
    exit 2
fi
mkdir -p "$build"
build=$(cd "$build" && pwd)

# The configuration takes most of the time, so it is kept for as long as nothing that it depends on
# changes.
stamp=$(nginx -v 2>&1; echo "$SHMETRICS_LIB $SHMETRICS_RPATH $root ${NGINX_CFLAGS:-}"; cat "$root/bindings/nginx/config")
if [[ ! -e $build/Makefile || $(cat "$build/stamp" 2> /dev/null) != "$stamp" ]]; then
    rm -f "$build/stamp"
    # shellcheck disable=SC1091
    . "$source/conf_flags"
    (cd "$source" && ./configure "${NGX_CONF_FLAGS[@]}" --builddir="$build" --add-dynamic-module="$root/bindings/nginx" \
        --with-cc-opt="-O2 -Wall -Wextra -Wshadow -Werror ${NGINX_CFLAGS:-}" --with-ld-opt="${NGINX_CFLAGS:-}") > "$build/configure.log" 2>&1 || {
        tail -5 "$build/configure.log" >&2
        exit 1
    }
    echo "$stamp" > "$build/stamp"
fi
make --no-print-directory -C "$source" -f "$build/Makefile" modules > "$build/make.log" 2>&1 || {
    cat "$build/make.log" >&2
    exit 1
}
echo "$build/ngx_http_shmetrics_module.so"
echo "$build/ngx_stream_shmetrics_module.so"
