#!/usr/bin/env bash
# Builds the contestants in C and C++ as libraries that the harness loads, into the directory named.
set -euo pipefail
cd "$(dirname "$0")/../../.."
to=$1
mkdir -p "$to"
flags=(-O2 -fPIC -shared -Wall -Wextra -Ibenches/rivals/native)
cargo build --release --quiet -p shmetrics-capi
soname=$(readelf -d target/release/libshmetrics.so | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
ln -sf "$PWD/target/release/libshmetrics.so" "$to/$soname"
cc -std=c11 "${flags[@]}" -Iinclude benches/rivals/native/{capi,no_series}.c -o "$to/libcontest_capi.so" -Ltarget/release -lshmetrics \
    -Wl,-rpath,"$PWD/$to"
cc -std=c11 "${flags[@]}" benches/rivals/native/{call,no_series}.c -o "$to/libcontest_call.so"
rm -f "$to/libcontest_prometheus_cpp.so"
if [[ -e /usr/include/prometheus/registry.h ]] || pkg-config --exists prometheus-cpp-core; then
    c++ -std=c++17 "${flags[@]}" benches/rivals/native/prometheus_cpp.cc -o "$to/libcontest_prometheus_cpp.so" -lprometheus-cpp-core
else
    echo 'skipped: prometheus-cpp (Debian package prometheus-cpp-dev)'
fi
