#!/usr/bin/env bash
# Builds Debian packages of the committed tree into a folder: deb.sh [FOLDER], by default
# target/deb.
#
# Needs debhelper, dh-python, nginx-dev and a Rust toolchain; `make deb` gets the packages. Rust
# comes from rustup or from Debian 13, so the packages of Rust are not asked for. RELEASE_DIR takes
# the library, the command and lib_native.so from an earlier build. DEB_BUILD_PROFILES=
# pkg.shmetrics.nginx builds the modules for nginx alone, against an installed libshmetrics-dev.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/deb}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version *= *"\(.*\)"/\1/p' Cargo.toml)
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/shmetrics-$version
mkdir "$tree"
git archive HEAD | tar -x -C "$tree"
cp -r "$tree/packaging/debian" "$tree/debian"

if [[ -z ${RELEASE_DIR:-} && ${DEB_BUILD_PROFILES:-} != *pkg.shmetrics.nginx* ]]; then
    for manifest in Cargo.toml bindings/python/Cargo.toml; do cargo fetch --quiet --locked --manifest-path "$manifest"; done
fi
unchecked=(-d)
[[ ${CHECK_BUILD_DEPENDS:-no} == no ]] || unchecked=()
(cd "$tree" && dpkg-buildpackage -b -us -uc "${unchecked[@]}") > "$out/build.log" 2>&1 || {
    tail -40 "$out/build.log" >&2
    exit 1
}
rm -f "$out"/*.deb "$out"/*.buildinfo "$out"/*.changes
mv "$work"/*.deb "$work"/*.buildinfo "$work"/*.changes "$out/"
ls -l "$out"/*.deb | awk '{ printf "%9d kB  %s\n", $5 / 1000, $9 }'
