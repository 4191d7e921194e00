#!/usr/bin/env bash
# What cargo runs in place of rustc (RUSTC_WRAPPER) to build Python's extension: rustc.sh RUSTC
# ARGUMENT...
#
# The extension is a workspace of its own, and the library lies outside of it. Cargo gives crates
# outside of the workspace an identity made from their folder, so that builds in two folders would
# differ. Here the crates of this tree have an identity made from their names.
set -euo pipefail
[[ " $* " =~ " --crate-name "(shmetrics|_native)" " ]] || exec "$@"
name=${BASH_REMATCH[1]}
arguments=()
for argument in "$@"; do
    [[ $argument != metadata=* ]] || argument=metadata=$name
    arguments+=("$argument")
done
exec "${arguments[@]}"
