#!/usr/bin/env bash
# Builds the example and checks that its two processes show one page.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$PWD/target/axum
cargo build --quiet --manifest-path examples/axum/Cargo.toml --target-dir "$target"
python3 examples/axum/client.py "$target/debug/axum-example"
if nm "$target/debug/axum-example" | grep ' [Tt] shmetrics_[a-z]'; then
    echo "a Rust program has these symbols of the C interface" >&2
    exit 1
fi
