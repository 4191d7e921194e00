#!/usr/bin/env bash
# Fails if the library or the command in a folder is too large, or names a path of the build, or
# if Python's extension is linked to one version of Python: binaries.sh FOLDER.
#
# The sizes are those of stripped files: 1.2 MB for the library, 6 MB for the command. A static
# command also has the C library. Files that the folder lacks are not asked for. PATHS names
# folders, with a colon between them, that no file may name: a build for packages replaces them by
# --remap-path-prefix.
set -euo pipefail
folder=${1:?a folder}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
seen=0
IFS=: read -r -a paths <<< "${PATHS:-}"
check() { # file, most bytes
    local size path
    [[ -f $folder/$1 ]] || return 0
    seen=1
    strip --strip-unneeded -o "$work/$1" "$folder/$1"
    size=$(stat -c %s "$work/$1")
    if ((size > $2)); then
        echo "$1: $size bytes, more than $2"
        failed=1
    fi
    for path in "${paths[@]}"; do
        if grep -qaF "$path/" "$work/$1"; then
            echo "$1: names the path $path of the build"
            failed=1
        fi
    done
    echo "$1: $size bytes stripped, of $2"
}
check libshmetrics.so 1200000
check shmetrics 6000000
if [[ -f $folder/lib_native.so ]] && readelf -d "$folder/lib_native.so" | grep 'NEEDED.*libpython'; then
    echo 'lib_native.so: is linked to one version of Python'
    failed=1
fi
((seen)) || {
    echo "binaries.sh: $folder has neither the library nor the command" >&2
    exit 2
}
exit $failed
