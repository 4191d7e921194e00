#!/usr/bin/env bash
# Formats the Rust, C and C++ code. `format.sh --check` changes nothing, and fails if a file is not
# formatted.
set -euo pipefail
cd "$(dirname "$0")/.."
grep -v '^#' scripts/workspaces | while read -r folder _; do
    # Only the root has members.
    all=()
    [[ $folder != . ]] || all=(--all)
    cargo fmt "${all[@]}" --manifest-path "$folder/Cargo.toml" "$@"
done

# Each version of clang-format has a style of its own.
# tests/interop/requirements.txt names the version.
program=target/venv/bin/clang-format
[[ -x $program ]] || {
    echo 'skipped: the format of C and C++ (no clang-format; scripts/setup.sh test gets it)'
    exit
}
format=("$program" -i)
[[ ${1:-} != --check ]] || format=("$program" --dry-run -Werror)
files() { find benches bindings examples fuzz include tests \( -name target -o -name shmetrics.h \) -prune -o \( -type f "$@" -print0 \); }
files \( -name '*.c' -o -name '*.h' \) | xargs -0 "${format[@]}" --style=file
files \( -name '*.cpp' -o -name '*.hpp' \) | xargs -0 "${format[@]}" --style=file:include/.clang-format
