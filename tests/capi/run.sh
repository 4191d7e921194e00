#!/usr/bin/env bash
# Tests what C and C++ programs get: headers, libraries, examples and the installed package.
#
#   cargo build --release && tests/capi/run.sh
#
# Needs a C compiler; every other tool that is missing (clang, valgrind, cmake, pkg-config) skips
# its steps and says so. RELEASE_DIR names the directory of libshmetrics.so and .a, if it is not
# target/release.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export RELEASE_DIR=${RELEASE_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
# Before 1.0 each minor release has a soname of its own.
soname=libshmetrics.so.${version%%.*}
[[ $version != 0.* ]] || soname=libshmetrics.so.${version%.*}
native_libs=(-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc)
strict=(-O2 -Wall -Wextra -Wpedantic -Wshadow -Werror -I"$root/include")
sanitize=(-g -fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
valgrind=(env CONFORMANCE_LEAKS=1 valgrind --quiet --error-exitcode=1 --leak-check=full --errors-for-leak-kinds=definite)

work=$(mktemp -d)
SHMETRICS_DIR=$(mktemp -d /dev/shm/capi-test.XXXXXX)
export SHMETRICS_DIR
trap 'rm -rf "$work" "$SHMETRICS_DIR"' EXIT
chmod 755 "$SHMETRICS_DIR"
unset SHMETRICS_SEGMENT SHMETRICS_MAX_SIZE LIBDIR INCLUDEDIR BINDIR DATADIR NATIVE_LIBS

# shellcheck source=tests/capi/harness.sh
. "$here/harness.sh"
# shellcheck source=tests/capi/package.sh
. "$here/package.sh"

for library in libshmetrics.so libshmetrics.a; do
    if [[ ! -f $RELEASE_DIR/$library ]]; then
        echo "run.sh: $RELEASE_DIR/$library is missing; run \`cargo build --release\` first" >&2
        exit 2
    fi
done
mkdir "$work/lib"
ln -s "$RELEASE_DIR/libshmetrics.so" "$work/lib/libshmetrics.so"
ln -s "$RELEASE_DIR/libshmetrics.so" "$work/lib/$soname" # the loader asks for the soname
shared=(-L"$work/lib" "-Wl,-rpath,$work/lib" -lshmetrics -lpthread -lm)
static=("$RELEASE_DIR/libshmetrics.a" "${native_libs[@]}")

conformance=("$here/conformance.c" "$here"/conformance/*.c -DEXPECTED_VERSION="\"$version\"")
c_examples=("$root"/examples/c/*.c)
cpp_examples=("$root"/examples/cpp/*.cpp)

compiles_alone() { # header, compiler, flags...
    local source=$own/alone.c
    [[ $2 != *++ ]] || source=$own/alone.cpp
    printf '#include "%s"\n#include "%s"\n' "$1" "$1" >"$source" # twice, for its guard
    "${@:2}" "${strict[@]}" -c "$source" -o "$own/alone.o"
}

# build_and_run PROGRAM COMPILE-COMMAND... [-- RUNNER...]
build_and_run() {
    local program=$own/$1 compile=()
    shift
    while (($#)) && [[ $1 != -- ]]; do
        compile+=("$1")
        shift
    done
    shift || true
    "${compile[@]}" -o "$program"
    bounded "$@" "$program"
}

exported() { nm -D --defined-only "$RELEASE_DIR/libshmetrics.so" | awk '{print $NF}' | sort; }

exports_are_as_recorded() { diff -u "$here/symbols.txt" <(exported); }

header_declares_the_exports() {
    diff -u <(exported) <(grep -oE '\bshmetrics_[a-z0-9_]+\(' "$root/include/shmetrics.h" | tr -d '(' | sort -u)
}

conformance_calls_every_export() {
    gcc -std=c11 "${strict[@]}" "${conformance[@]}" "${shared[@]}" -o "$own/program"
    nm -D --undefined-only "$own/program" | awk '$NF ~ /^shmetrics_/ {print $NF}' | sort >"$own/called"
    diff -u <(exported) "$own/called"
}

# Each exported call is made with a cancellation pending, and looked at for errno.
cancellation_is_tried_with_every_export() {
    diff -u <(exported) <(sed -n 's/^CASE(\([a-z0-9_]*\)).*/\1/p' "$here/conformance/cancel.c" | sort)
}

has_soname_and_stays_loaded() { # handles must outlive a dlclose
    local dynamic
    dynamic=$(readelf -d "$RELEASE_DIR/libshmetrics.so")
    [[ $dynamic == *"[$soname]"* && $dynamic == *NODELETE* ]] || { echo "$dynamic"; return 1; }
}

# The first argument says how; a plugin of somebody else's may have the static library in it.
outlives_dlclose() {
    local library=$RELEASE_DIR/libshmetrics.so
    if [[ $1 == goes ]]; then
        library=$own/plugin.so
        gcc -shared -Wl,--whole-archive "$RELEASE_DIR/libshmetrics.a" -Wl,--no-whole-archive "${native_libs[@]}" -o "$library"
    fi
    gcc -std=c11 "${strict[@]}" "$here/unload.c" -ldl -lpthread -o "$own/unload"
    bounded "$own/unload" "$library" "$1"
}

leaves_nothing_behind() {
    local left
    left=$(find "${SHMETRICS_DIR%/*}" -mindepth 2)
    [[ -z $left ]] || { echo "left in shared memory: $left"; return 1; }
}

for cc in gcc clang; do
    for std in c99 c11; do
        step_with $cc "header alone, $std ($cc)" compiles_alone shmetrics.h $cc -std=$std
    done
    for source in "${c_examples[@]}"; do
        step_with $cc "example $(basename "$source") ($cc)" \
            build_and_run example $cc -std=c11 "${strict[@]}" "$source" "${shared[@]}"
    done
    step_with $cc "conformance ($cc, shared)" \
        build_and_run conformance $cc -std=c11 "${strict[@]}" "${conformance[@]}" "${shared[@]}"
    step_with $cc "conformance ($cc, static)" \
        build_and_run conformance $cc -std=c11 "${strict[@]}" "${conformance[@]}" "${static[@]}"
done

for cxx in g++ clang++; do
    for std in c++17 c++20; do
        step_with $cxx "C header alone, $std ($cxx)" compiles_alone shmetrics.h $cxx -std=$std
        for header in shmetrics{,_metrics,_pages}.hpp; do
            step_with $cxx "$header alone, $std ($cxx)" compiles_alone $header $cxx -std=$std
        done
        for source in "${cpp_examples[@]}"; do
            step_with $cxx "example $(basename "$source"), $std ($cxx)" \
                build_and_run example $cxx -std=$std "${strict[@]}" "$source" "${shared[@]}"
        done
        for exceptions in -fexceptions -fno-exceptions; do
            step_with $cxx "wrapper, $std $exceptions ($cxx)" \
                build_and_run wrapper $cxx -std=$std $exceptions "${strict[@]}" "$here/wrapper.cpp" "${shared[@]}"
        done
    done
done

for source in "${c_examples[@]}" "$here/conformance.c" "${cpp_examples[@]}" "$here/wrapper.cpp"; do
    name=$(basename "$source")
    sources=("$source")
    compile=(gcc -std=c11)
    [[ $name == conformance.c ]] && sources=("${conformance[@]}")
    [[ $name == *.cpp ]] && compile=(g++ -std=c++17)
    step_with "${compile[0]}" "$name, address and undefined-behaviour sanitizers" \
        build_and_run sanitized "${compile[@]}" "${strict[@]}" "${sanitize[@]}" "${sources[@]}" "${shared[@]}"
    step_with valgrind "$name, valgrind" \
        build_and_run checked "${compile[@]}" -g "${strict[@]}" "${sources[@]}" "${shared[@]}" -- "${valgrind[@]}"
done

step_with nm "exported symbols are those of symbols.txt" exports_are_as_recorded
step_with nm "the header declares what the library exports" header_declares_the_exports
step_with nm "conformance calls all that the library exports" conformance_calls_every_export
step_with nm "every exported call is made with a cancellation pending" cancellation_is_tried_with_every_export
step_with readelf "the library has its soname and is never unloaded" has_soname_and_stays_loaded
step_with gcc "dlclose while threads count" outlives_dlclose stays
step_with gcc "a plugin that has the library in it is unloaded beside threads that have counted" outlives_dlclose goes
in_turn
package_steps
step "nothing is left in shared memory" leaves_nothing_behind
finish
