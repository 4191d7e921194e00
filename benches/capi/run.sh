#!/usr/bin/env bash
# Builds and runs the C benchmark against target/release/libshmetrics.so.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --quiet
mkdir -p target/bench
soname=$(readelf -d target/release/libshmetrics.so | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
ln -sf ../release/libshmetrics.so "target/bench/$soname"
cc -std=c11 -O2 -Wall -Wextra -Iinclude benches/capi/capi.c -o target/bench/capi -Ltarget/release -lshmetrics \
    -Wl,-rpath,"$PWD/target/bench"
exec target/bench/capi
