#!/usr/bin/env bash
# Builds and runs the C benchmarks against target/release/libshmetrics.so.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --release --quiet
mkdir -p target/bench
soname=$(readelf -d target/release/libshmetrics.so | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
ln -sf ../release/libshmetrics.so "target/bench/$soname"
for bench in capi bundle; do
    cc -std=c11 -O2 -Wall -Wextra -Iinclude "benches/capi/$bench.c" -o "target/bench/$bench" -Ltarget/release -lshmetrics \
        -Wl,-rpath,"$PWD/target/bench"
    "target/bench/$bench"
done
