#!/usr/bin/env bash
# Prints include/shmetrics.h as cbindgen makes it from src/capi.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PWD/target/tools/bin:$PATH
exec cbindgen --quiet --config cbindgen.toml --crate shmetrics
