#!/usr/bin/env bash
# Builds the command as one static file that runs on any Linux of this processor, and in an empty
# container: static.sh [FOLDER], by default target/static.
#
# The command is linked to musl. `make static` gets musl-gcc and Rust's standard library for musl.
# Where they cannot be had, the command is linked to a static glibc, and a line `skipped: ...` says
# what that means.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/static}
mkdir -p "$out"
out=$(cd "$out" && pwd)
machine=$(uname -m)
target=$machine-unknown-linux-musl
export CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/static-build}

lacking=
compgen -G "$(rustc --print sysroot)/lib/rustlib/$target/lib/libstd-*.rlib" > /dev/null || lacking="no standard library of Rust for $target"
command -v musl-gcc > /dev/null || lacking=${lacking:-no musl-gcc}
if [[ -n $lacking ]]; then
    target=$machine-unknown-linux-gnu
    export RUSTFLAGS="-C target-feature=+crt-static"
    echo "skipped: the command linked to musl ($lacking). It is linked to a static glibc, which finds hosts by name only where the same glibc is installed"
else
    # C and assembly of the crate ring.
    export "CC_${target//-/_}=musl-gcc"
fi
packaging/compile.sh command -- --target "$target"
install -m 755 "$CARGO_TARGET_DIR/$target/release/shmetrics" "$out/shmetrics"

# Neither a loader nor another library.
if readelf -lW "$out/shmetrics" | grep INTERP || readelf -dW "$out/shmetrics" | grep NEEDED; then
    echo "static.sh: $out/shmetrics is not static" >&2
    exit 1
fi
packaging/tests/binaries.sh "$out"
