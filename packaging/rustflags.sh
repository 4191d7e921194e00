#!/usr/bin/env bash
# Prints rustc's flags for packages, in the form of CARGO_ENCODED_RUSTFLAGS: rustflags.sh FLAG...
#
# They replace the folders of this tree and of cargo, so that no file names a path of the build. The
# caller's own flags follow. In RUSTFLAGS, a folder with a space in its name would be two flags.
set -euo pipefail
cd "$(dirname "$0")/.."
flags=("--remap-path-prefix=$PWD=/usr/src/shmetrics" "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/usr/src/cargo" "$@")
if [[ -n ${CARGO_ENCODED_RUSTFLAGS:-} ]]; then
    flags+=("$CARGO_ENCODED_RUSTFLAGS")
else
    read -r -a own <<< "${RUSTFLAGS:-}"
    flags+=("${own[@]}")
fi
(
    IFS=$'\x1f'
    printf '%s\n' "${flags[*]}"
)
