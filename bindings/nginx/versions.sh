#!/usr/bin/env bash
# Compiles the modules, with warnings as errors, against the sources of several servers:
# versions.sh DIRECTORY...
#
# Each directory has the sources of a version of nginx, or of a server that descends from it, as
# `apt-get source nginx` unpacks them. Only these modules are compiled, in a directory of their own.
# SHMETRICS_LIB names the directory of libshmetrics.so.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export SHMETRICS_INCLUDE=$root/include
export SHMETRICS_LIB=${SHMETRICS_LIB:-${CARGO_TARGET_DIR:-$root/target}/release}
export SHMETRICS_RPATH=${PREFIX:-/usr/local}/lib
(($#)) || {
    sed -n '2,7p' "$0" >&2
    exit 2
}
failed=0
for source in "$@"; do
    configure=./configure
    [[ -e $source/configure ]] || configure=auto/configure # of a repository
    work=$(mktemp -d)
    # As Debian builds: with OpenSSL, HTTP/2 and stub_status. The stream module needs headers only.
    if (
        cd "$source" && $configure --builddir="$work" --with-compat --with-http_ssl_module --with-http_v2_module \
            --with-http_stub_status_module --with-threads \
            --add-dynamic-module="$here" --with-cc-opt='-O2 -Wall -Wextra -Wshadow -Werror' \
            && make -f "$work/Makefile" modules
    ) > "$work/log" 2>&1 && [[ -e $work/ngx_http_shmetrics_module.so && -e $work/ngx_stream_shmetrics_module.so ]]; then
        echo "ok: $source"
    else
        failed=1
        tail -20 "$work/log"
        echo "failed: $source"
    fi
    rm -rf "$work"
done
exit "$failed"
