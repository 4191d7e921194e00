#!/usr/bin/env bash
# Compiles the modules, with warnings as errors, against the sources of several servers:
# versions.sh [--test] DIRECTORY... [-- arguments of unittest]
#
# Each directory has the sources of a version of nginx, or of a server that descends from it, as
# `apt-get source nginx` unpacks them. Only these modules are compiled, in a directory of their own.
# With --test, the server is compiled too, and runs the tests of the modules. SHMETRICS_LIB names
# the directory of libshmetrics.so.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export SHMETRICS_INCLUDE=$root/include
export SHMETRICS_LIB=${SHMETRICS_LIB:-${CARGO_TARGET_DIR:-$root/target}/release}
export SHMETRICS_RPATH=${PREFIX:-/usr/local}/lib
test=
[[ ${1:-} != --test ]] || test=yes
[[ -z $test ]] || shift
sources=()
while (($#)) && [[ $1 != -- ]]; do
    sources+=("$1")
    shift
done
(($#)) && shift
((${#sources[@]})) || {
    sed -n '2,9p' "$0" >&2
    exit 2
}

# compile DIRECTORY TARGET FLAGS FOR CONFIGURE...: in $work, as Debian builds: with OpenSSL, HTTP/2
# and stub_status.
compile() (
    cd "$1" || exit
    configure=./configure
    [[ -e configure ]] || configure=auto/configure # of a repository
    "$configure" --builddir="$work" --with-compat --with-http_ssl_module --with-http_v2_module --with-http_stub_status_module --with-threads \
        --add-dynamic-module="$here" "${@:3}" && make -j2 -f "$work/Makefile" "$2"
)

# The tests, with the server that is in $work. Workers read it as another user.
run_tests() {
    chmod 755 "$work"
    local program=$work/nginx stream=$work/ngx_stream_module.so
    [[ -x $program ]] || program=$work/angie
    "$program" -v 2>&1
    NGINX_PROGRAM=$program NGINX_BUILD=$work NGINX_STREAM=$stream RELEASE_DIR=$SHMETRICS_LIB "$here/tests/run.sh" "$@"
}

failed=0
for source in "${sources[@]}"; do
    # Without a point: nginx takes ".S" in a path for a file of assembler.
    work=$(mktemp -dt nginx-XXXXXX)
    # The stream module needs headers only.
    if compile "$source" modules --with-cc-opt='-O2 -Wall -Wextra -Wshadow -Werror' > "$work/log" 2>&1 \
        && [[ -e $work/ngx_http_shmetrics_module.so && -e $work/ngx_stream_shmetrics_module.so ]]; then
        echo "ok: $source"
    else
        failed=1
        tail -20 "$work/log"
        echo "failed: $source"
    fi
    if [[ -n $test ]]; then
        rm -rf "$work"
        work=$(mktemp -dt nginx-XXXXXX)
        # Warnings are the server's own.
        if SHMETRICS_RPATH=$work/lib compile "$source" build --with-stream=dynamic --with-stream_ssl_module --with-stream_ssl_preread_module \
            --with-http_auth_request_module --with-debug --error-log-path=stderr --with-cc-opt='-O1 -w' > "$work/log" 2>&1; then
            if run_tests "$@"; then
                echo "tested: $source"
            else
                failed=1
                echo "tests failed: $source"
            fi
        else
            failed=1
            tail -20 "$work/log"
            echo "not compiled: $source"
        fi
    fi
    rm -rf "$work"
done
exit "$failed"
