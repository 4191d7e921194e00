#!/usr/bin/env bash
# Formats the Rust code of all workspaces. `format.sh --check` changes nothing, and fails if a file
# is not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."
grep -v '^#' scripts/workspaces | while read -r folder _; do
    # Only the root has members.
    all=()
    [[ $folder != . ]] || all=(--all)
    cargo fmt "${all[@]}" --manifest-path "$folder/Cargo.toml" "$@"
done
