#!/usr/bin/env bash
# Compiles for packages: compile.sh PART... [-- ARGUMENT OF CARGO...]. The parts are `library`,
# `command` and `extension` (of Python). They lie in CARGO_TARGET_DIR.
#
# No path of the build is in the files. The library is a tenth smaller than that of `cargo build
# --release`, because the compiler inlines less by itself, and sees all of the library at once. What
# updates and pages need is marked `#[inline(always)]`; tests/instructions/check.py counts it.
set -euo pipefail
cd "$(dirname "$0")/.."
parts=()
while (($#)) && [[ $1 != -- ]]; do
    parts+=("$1")
    shift
done
cargo=(cargo build --release --locked "${@:2}")
CARGO_ENCODED_RUSTFLAGS=$(packaging/rustflags.sh -C llvm-args=--inline-threshold=60)
export CARGO_ENCODED_RUSTFLAGS
# Nor the folder of cargo in the debug information of C, which the crate ring always has.
CFLAGS="$(printf %q "-ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/usr/src/cargo")${CFLAGS:+ $CFLAGS}"
export CFLAGS CC_SHELL_ESCAPED_FLAGS=1
# One after another: together, the command would have the library's C symbols too.
for part in "${parts[@]}"; do
    case $part in
    library) CARGO_PROFILE_RELEASE_LTO=fat "${cargo[@]}" -p shmetrics-capi ;;
    command) "${cargo[@]}" -p shmetrics-cli ;;
    # As maturin does it: the module has its symbols from the Python that loads it, of any version.
    extension) RUSTC_WRAPPER=$PWD/packaging/rustc.sh PYO3_BUILD_EXTENSION_MODULE=1 CARGO_PROFILE_RELEASE_STRIP=none "${cargo[@]}" --manifest-path bindings/python/Cargo.toml ;;
    *)
        echo "compile.sh: no part $part" >&2
        exit 2
        ;;
    esac
done
