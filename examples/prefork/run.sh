#!/usr/bin/env bash
# Builds the prefork demo against the library installed in $PREFIX, and runs it. Arguments go to
# drive.py: --forever runs until Ctrl-C, as DEMO_SECONDS=0 does.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
prefix=$(realpath -m "${PREFIX:-$root/target/demo-prefix}")
build=$root/target/prefork

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
if ! pkg-config --exists shmetrics || [[ ! -x $prefix/bin/shmetrics ]]; then
    echo "no shmetrics in $prefix: run 'make demo', or set PREFIX to where it is installed" >&2
    exit 1
fi
# shellcheck disable=SC2162 # pkg-config writes a space in a name as `\ `
read -a library < <(pkg-config --cflags --libs shmetrics)
library+=("-Wl,-rpath,$(pkg-config --variable=libdir shmetrics)")
warnings=(-O2 -Wall -Wextra -Wpedantic -Werror)

mkdir -p "$build"
cd "$here"
"${CC:-cc}" -std=c11 "${warnings[@]}" -c http.c -o "$build/http.o"
"${CC:-cc}" -std=c11 "${warnings[@]}" -c routes.c -o "$build/routes.o"
"${CC:-cc}" -std=c11 "${warnings[@]}" -o "$build/server" \
    server.c pool.c worker.c metrics.c "$build/http.o" "$build/routes.o" "${library[@]}"
"${CXX:-c++}" -std=c++17 "${warnings[@]}" -o "$build/worker-cpp" \
    worker.cpp "$build/http.o" "$build/routes.o" "${library[@]}"
cargo build --quiet --release --locked --manifest-path rust/Cargo.toml --target-dir "$build/rust"

# A proxy is for the network. The servers of the demo listen on this machine.
export no_proxy=127.0.0.1,localhost,${no_proxy:-${NO_PROXY:-}}
exec python3 drive.py --server "$build/server" --cli "$prefix/bin/shmetrics" \
    "rust=$build/rust/release/prefork-worker" "cpp=$build/worker-cpp" "$@"
