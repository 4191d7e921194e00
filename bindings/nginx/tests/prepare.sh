# Sourced by the scripts of this directory, whose directory is $here: builds the modules against the
# installed nginx in $built, beside a copy of the library in $work/lib.
#
# RELEASE_DIR names the directory of libshmetrics.so, if it is not target/release. NGINX_BUILD names
# a directory where a server and the modules have been built (../versions.sh --test).
# shellcheck shell=bash disable=SC2154,SC2034
root=$(cd "$here/../../.." && pwd)
release=${RELEASE_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
work=${NGINX_BUILD:-${NGINX_TESTS:-$root/target/nginx-tests}}
built=${NGINX_BUILD:-$work/build}
export PATH=$PATH:/usr/sbin
if [[ -z ${NGINX_BUILD:-} ]]; then
    if ! command -v nginx > /dev/null || [[ ! -e ${NGINX_SOURCE:-/usr/share/nginx/src}/conf_flags ]]; then
        echo 'skipped: nginx (the packages nginx and nginx-dev are not installed; scripts/setup.sh nginx)'
        exit 0
    fi
    stream=$(nginx -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')/ngx_stream_module.so
    [[ -e $stream ]] || stream=
fi
if [[ ! -e $release/libshmetrics.so ]]; then
    echo "$0: $release/libshmetrics.so is missing; run \`cargo build --release\` first" >&2
    exit 2
fi
mkdir -p "$work/lib"
# A copy: workers read it as another user, and a build must not replace it under them.
cp -f --remove-destination "$release/libshmetrics.so" "$work/lib/libshmetrics.so"
soname=$(readelf -d "$release/libshmetrics.so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
ln -sf libshmetrics.so "$work/lib/$soname"
[[ -n ${NGINX_BUILD:-} ]] || SHMETRICS_LIB=$work/lib RPATH=$work/lib "$root/bindings/nginx/build.sh" "$built" > /dev/null
unset SHMETRICS_SEGMENT SHMETRICS_DIR SHMETRICS_TRUST SHMETRICS_OWNER SHMETRICS_GROUP SHMETRICS_MODE SHMETRICS_MAX_SIZE SHMETRICS_LE
