#!/usr/bin/env bash
# Installs what `cargo build --release` made: libraries, headers, pkg-config and CMake files, the
# modules for LuaJIT, and the command if built.
#
#   packaging/install.sh               install
#   packaging/install.sh --uninstall   remove exactly what was installed, by the manifest that the
#                                      installation wrote
#
# Variables: PREFIX (/usr/local); LIBDIR, INCLUDEDIR, BINDIR, DATADIR (lib, include, bin and share
# below PREFIX); UNITDIR (lib/systemd/system below PREFIX); ZSHDIR (zsh/site-functions below
# DATADIR); DESTDIR (put before every path, for packagers); RELEASE_DIR (target/release);
# NATIVE_LIBS (what libshmetrics.a needs, from `rustc --print native-static-libs`).
set -euo pipefail
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
release=${RELEASE_DIR:-${CARGO_TARGET_DIR:-$root/target}/release}
prefix=${PREFIX:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
includedir=${INCLUDEDIR:-$prefix/include}
bindir=${BINDIR:-$prefix/bin}
datadir=${DATADIR:-$prefix/share}
unitdir=${UNITDIR:-$prefix/lib/systemd/system}
zshdir=${ZSHDIR:-$datadir/zsh/site-functions}
docdir=$datadir/doc/shmetrics
destdir=${DESTDIR:-}
native_libs=${NATIVE_LIBS:--lgcc_s -lutil -lrt -lpthread -lm -ldl -lc}
# The compiler's driver adds the unwinder that fits: libgcc_s, or with -static libgcc_eh, as there
# is no static libgcc_s.
native_libs=${native_libs/-lgcc_s /}
manifest=$docdir/install-manifest

files=()
dirs=()

die() {
    echo "install.sh: $*" >&2
    exit 1
}

# Makes a directory and its missing parents, and notes which were missing.
make_dir() {
    [[ ! -d $destdir$1 ]] || return 0
    make_dir "$(dirname "$1")"
    dirs+=("$1")
    mkdir "$destdir$1"
}

put() { # mode, source, target
    make_dir "$(dirname "$3")"
    files+=("$3")
    install -m "$1" "$2" "$destdir$3"
}

link() { # what it says, target
    files+=("$2")
    ln -sfn "$1" "$destdir$2"
}

fill() { # template, target
    local text below="\${prefix}" # pkg-config expands it, so the tree can be moved
    text=$(<"$here/$1")
    text=${text//@PREFIX@/"$prefix"}
    text=${text//@LIBDIR@/"${libdir/#"$prefix"/"$below"}"}
    text=${text//@INCLUDEDIR@/"${includedir/#"$prefix"/"$below"}"}
    text=${text//@LIBDIR_TO_INCLUDEDIR@/"$(realpath -m --relative-to="$libdir" "$includedir")"}
    text=${text//@VERSION@/"$version"}
    text=${text//@VERSION_MAJOR@/"$major"}
    text=${text//@VERSION_MINOR@/"$minor"}
    text=${text//@SONAME@/"$soname"}
    text=${text//@NATIVE_LIBS@/"$native_libs"}
    text=${text//@NATIVE_LIBS_LIST@/"${native_libs// /;}"}
    text=${text//@POINTER_BYTES@/"$pointer_bytes"}
    put 644 /dev/stdin "$2" <<<"$text"
}

# One page for each command, named by the page's own title.
put_manual() {
    local pages name number=0
    pages=$("$release/shmetrics" man)
    while read -r name; do
        ((number += 1))
        put 644 /dev/stdin "$datadir/man/man1/$name.1" < <(awk -v wanted="$number" '/^\.ie / { page += 1 } page == wanted' <<<"$pages")
    done < <(sed -n 's/^\.TH \([a-z-]*\) .*/\1/p' <<<"$pages")
}

put_completion() { # shell, target
    local text
    text=$("$release/shmetrics" completions "$1")
    put 644 /dev/stdin "$2" <<<"$text"
}

# In a unit, a path with spaces takes quotes, and a percent sign another one.
put_unit() {
    local text command=$bindir/shmetrics
    command=${command//%/%%}
    [[ $command != *[[:space:]]* ]] || command="\"$command\""
    text=$(<"$here/systemd/$1")
    put 644 /dev/stdin "$unitdir/$1" <<<"${text//\/usr\/local\/bin\/shmetrics/"$command"}"
}

put_command() {
    put 755 "$release/shmetrics" "$bindir/shmetrics"
    if "$release/shmetrics" --version >/dev/null 2>&1; then # a command for another machine does not run
        put_manual
        put_completion bash "$datadir/bash-completion/completions/shmetrics"
        put_completion zsh "$zshdir/_shmetrics"
        put_completion fish "$datadir/fish/vendor_completions.d/shmetrics.fish"
    fi
    for unit in shmetrics shmetrics-push; do put_unit "$unit.service"; done
    put 644 "$here/systemd/shmetrics.socket" "$unitdir/shmetrics.socket"
    put 644 "$here/systemd/examples/application-directory.conf" "$docdir/systemd/application-directory.conf"
    put 644 "$here/systemd/examples/exporter-directory.conf" "$docdir/systemd/exporter-directory.conf"
}

# The paths that an earlier installation noted: `noted file` or `noted dir`.
noted() {
    [[ -f $destdir$manifest ]] || return 0
    sed -n "s/^$1 //p" "$destdir$manifest"
}

write_manifest() {
    local path
    {
        for path in "${files[@]}" "${old_files[@]}"; do echo "file $path"; done
        for path in "${dirs[@]}"; do echo "dir $path"; done
    } | awk '!seen[$0]++' >"$destdir$manifest"
}

check_inputs() {
    local needed=("$release/libshmetrics.so" "$release/libshmetrics.a" "$root"/include/shmetrics{.h,.hpp,_metrics.hpp,_pages.hpp}
        "$root"/LICENSE-{MIT,APACHE})
    for file in "${needed[@]}"; do
        [[ -f $file ]] || die "$file is missing; run \`cargo build --release\` first, or set RELEASE_DIR"
    done
    if command -v readelf >/dev/null; then
        [[ $(readelf -d "$release/libshmetrics.so") == *"[$soname]"* ]] ||
            die "the soname of $release/libshmetrics.so is not $soname"
    fi
}

install_all() {
    version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
    IFS=. read -r major minor _ <<<"$version"
    soname=libshmetrics.so.$major
    [[ $major != 0 ]] || soname=libshmetrics.so.$major.$minor # before 1.0 a minor release may break
    check_inputs
    pointer_bytes=$(($(od -An -tu1 -j4 -N1 "$release/libshmetrics.so") * 4)) # ELF class: 1 is 32 bit, 2 is 64 bit
    mapfile -t old_files < <(noted file)
    mapfile -t dirs < <(noted dir)

    mkdir -p "$destdir/"
    make_dir "$docdir"
    # An installation that ends early can be removed, or made whole by another.
    trap write_manifest EXIT
    trap 'exit 130' INT TERM HUP
    put 755 "$release/libshmetrics.so" "$libdir/libshmetrics.so.$version"
    link "libshmetrics.so.$version" "$libdir/$soname"
    link "$soname" "$libdir/libshmetrics.so"
    put 644 "$release/libshmetrics.a" "$libdir/libshmetrics.a"
    put 644 "$root/include/shmetrics.h" "$includedir/shmetrics.h"
    put 644 "$root/include/shmetrics.hpp" "$includedir/shmetrics.hpp"
    put 644 "$root/include/shmetrics_metrics.hpp" "$includedir/shmetrics_metrics.hpp"
    put 644 "$root/include/shmetrics_pages.hpp" "$includedir/shmetrics_pages.hpp"
    fill shmetrics.pc.in "$libdir/pkgconfig/shmetrics.pc"
    fill shmetrics-config.cmake.in "$libdir/cmake/shmetrics/shmetrics-config.cmake"
    fill shmetrics-config-version.cmake.in "$libdir/cmake/shmetrics/shmetrics-config-version.cmake"
    [[ ! -f $release/shmetrics ]] || put_command
    # Not in share/lua/5.1, where a prometheus.lua of LuaRocks may be.
    for module in shmetrics prometheus; do put 644 "$root/bindings/lua/$module.lua" "$datadir/shmetrics/lua/$module.lua"; done
    put 644 "$root/docs/runbook.md" "$docdir/runbook.md"
    put 644 "$here/prometheus/shmetrics-rules.yml" "$docdir/prometheus/shmetrics-rules.yml"
    put 644 "$here/prometheus/shmetrics-rules-test.yml" "$docdir/prometheus/shmetrics-rules-test.yml"
    put 644 "$here/prometheus/shmetrics-scrape.yml" "$docdir/prometheus/shmetrics-scrape.yml"
    for dashboard in "$here"/grafana/*.json; do put 644 "$dashboard" "$docdir/grafana/$(basename "$dashboard")"; done
    put 644 "$root/LICENSE-MIT" "$docdir/LICENSE-MIT"
    put 644 "$root/LICENSE-APACHE" "$docdir/LICENSE-APACHE"

    for old in "${old_files[@]}"; do # of another version
        [[ " ${files[*]} " == *" $old "* ]] || rm -f "$destdir$old"
    done
    old_files=()
    echo "installed shmetrics $version in $destdir$prefix"
    [[ -n $destdir ]] || echo "run ldconfig if $libdir is on the loader's path"
}

uninstall_all() {
    [[ -f $destdir$manifest ]] || die "nothing is installed: there is no $destdir$manifest"
    mapfile -t files < <(noted file)
    mapfile -t dirs < <(noted dir)
    rm -f "${files[@]/#/$destdir}" "$destdir$manifest"
    for ((i = ${#dirs[@]} - 1; i >= 0; i--)); do # children were made after their parents
        [[ ! -d $destdir${dirs[i]} ]] || rmdir --ignore-fail-on-non-empty "$destdir${dirs[i]}"
    done
    echo "removed shmetrics from $destdir$prefix"
}

for path in "$prefix" "$libdir" "$includedir" "$bindir" "$datadir" "$unitdir" "$zshdir"; do
    [[ $path == /* ]] || die "PREFIX and the other directories must be absolute paths; '$path' is not one"
done
case ${1:-} in
    "") install_all ;;
    --uninstall) uninstall_all ;;
    *) die "usage: install.sh [--uninstall]" ;;
esac
