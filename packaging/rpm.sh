#!/usr/bin/env bash
# Builds RPM packages of the committed tree into a folder: rpm.sh [FOLDER], by default target/rpm.
#
# Needs rpmbuild and a Rust toolchain; `make rpm` gets the former. On Debian, rpm knows no installed
# packages, so what the build requires is not asked for. RELEASE_DIR takes the library and the
# command from an earlier build.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/rpm}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/shmetrics
mkdir "$tree"
git archive HEAD | tar -x -C "$tree"
# Python's extension is not built; the notices name its crates too.
if [[ -z ${RELEASE_DIR:-} ]]; then
    for manifest in Cargo.toml bindings/python/Cargo.toml; do cargo fetch --quiet --locked --manifest-path "$manifest"; done
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
(cd "$tree" && rpmbuild -bb --build-in-place --nodeps --define "_topdir $work/rpm" --define 'use_source_date_epoch_as_buildtime 1' \
    --define 'clamp_mtime_to_source_date_epoch 1' --define '_buildhost localhost' packaging/shmetrics.spec) > "$out/build.log" 2>&1 || {
    tail -40 "$out/build.log" >&2
    exit 1
}
rm -f "$out"/*.rpm
find "$work/rpm/RPMS" -name '*.rpm' -exec mv {} "$out/" \;
ls -l "$out"/*.rpm | awk '{ printf "%9d kB  %s\n", $5 / 1000, $9 }'
