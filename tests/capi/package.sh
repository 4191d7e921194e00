# shellcheck shell=bash
# The installed package, as others build against it: files, pkg-config, CMake, moving, removal.
# Sourced by run.sh. shellcheck disable=SC2154 # work, root, here and version are run.sh's

prefix=$work/prefix

install_here() { PREFIX=$prefix DESTDIR='' "$root/packaging/install.sh" "$@"; }

tree() { (cd "$1" && find . | sort); }

installs_the_expected_files() {
    mkdir -p "$prefix/lib"
    touch "$prefix/lib/somebody-elses"
    tree "$prefix" >"$work/before"
    install_here
    install_here # over itself
    (cd "$prefix" && find . ! -type d ! -name somebody-elses | sort) >"$work/installed"
    if [[ -x $RELEASE_DIR/shmetrics ]]; then command_files >"$work/expected"; else : >"$work/expected"; fi
    cat >>"$work/expected" <<END
./include/shmetrics.h
./include/shmetrics.hpp
./include/shmetrics_metrics.hpp
./include/shmetrics_pages.hpp
./lib/cmake/shmetrics/shmetrics-config-version.cmake
./lib/cmake/shmetrics/shmetrics-config.cmake
./lib/libshmetrics.a
./lib/libshmetrics.so
./lib/$soname
./lib/libshmetrics.so.$version
./lib/pkgconfig/shmetrics.pc
./share/doc/shmetrics/LICENSE-APACHE
./share/doc/shmetrics/LICENSE-MIT
./share/doc/shmetrics/grafana/nginx.json
./share/doc/shmetrics/grafana/prefork.json
./share/doc/shmetrics/grafana/python.json
./share/doc/shmetrics/grafana/shmetrics.json
./share/doc/shmetrics/install-manifest
./share/doc/shmetrics/prometheus/shmetrics-rules-test.yml
./share/doc/shmetrics/prometheus/shmetrics-rules.yml
./share/doc/shmetrics/prometheus/shmetrics-scrape.yml
./share/doc/shmetrics/runbook.md
./share/shmetrics/lua/prometheus.lua
./share/shmetrics/lua/shmetrics.lua
END
    diff -u <(sort "$work/expected") "$work/installed"
    if grep -rn '@[A-Z_]*@' "$prefix/lib/pkgconfig" "$prefix/lib/cmake" "$prefix/lib/systemd"; then return 1; fi
}

# What comes with the command: its pages, completions for three shells, and units.
command_files() {
    local name
    for name in '' $("$RELEASE_DIR/shmetrics" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/-\1/p'); do
        echo "./share/man/man1/shmetrics$name.1"
    done
    cat <<END
./bin/shmetrics
./lib/systemd/system/shmetrics-push.service
./lib/systemd/system/shmetrics.service
./lib/systemd/system/shmetrics.socket
./share/bash-completion/completions/shmetrics
./share/doc/shmetrics/systemd/application-directory.conf
./share/doc/shmetrics/systemd/exporter-directory.conf
./share/fish/vendor_completions.d/shmetrics.fish
./share/zsh/site-functions/_shmetrics
END
}

# The installed units are understood, and shut in.
units_are_sound() {
    local unit
    for unit in "$prefix"/lib/systemd/system/*.service; do
        grep -q "^ExecStart=$prefix/bin/shmetrics " "$unit"
        systemd-analyze security --offline=true --no-pager --threshold=25 "$unit" | tail -1
    done
    # A machine without `man` refuses the names of the pages.
    mkdir "$work/units"
    for unit in "$prefix"/lib/systemd/system/*; do grep -v '^Documentation=' "$unit" >"$work/units/${unit##*/}"; done
    [[ -z $(systemd-analyze verify --recursive-errors=no "$work"/units/* 2>&1 | tee /dev/stderr) ]]
}

pkg() { PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config "$@" shmetrics; }

# Compiles and runs every example out of the tree with these flags, and checks which library it uses
# at run time.
examples_outside() { # shared or static, flags...
    local kind=$1 outside=$work/outside source compiler
    shift
    rm -rf "$outside" && mkdir "$outside"
    for source in "${c_examples[@]}" "${cpp_examples[@]}"; do
        compiler=gcc
        [[ $source == *.cpp ]] && compiler=g++
        cp "$source" "$outside"
        (cd "$outside" && $compiler "$(basename "$source")" "$@" -o program)
        LD_LIBRARY_PATH=$prefix/lib runs_with "$kind" "$outside/program"
    done
}

runs_with() { # shared or static, program
    local used=static needed
    if [[ $(ldd "$2") == *libshmetrics.so* ]]; then used=shared; fi
    if [[ $used != "$1" ]]; then
        echo "$2 uses the $used library"
        return 1
    fi
    # Only a library of the same minor release satisfies a program that was linked to this one.
    needed=$(readelf -d "$2" | sed -n 's/.*NEEDED.*\[\(libshmetrics.*\)\]/\1/p')
    if [[ $used == shared && $needed != "$soname" ]]; then
        echo "$2 asks for '$needed', not for $soname"
        return 1
    fi
    bounded "$2"
}

pkg_config_shared() {
    local flags
    read -ra flags < <(pkg --cflags --libs)
    [[ $(pkg --modversion) == "$version" ]]
    examples_outside shared "${flags[@]}"
}

pkg_config_static() {
    local flags
    read -ra flags < <(pkg --static --cflags --libs)
    examples_outside static "${flags[@]/#-lshmetrics/-l:libshmetrics.a}"
}

# With -static everything is in the program, the unwinder too.
pkg_config_all_static() {
    local flags
    read -ra flags < <(pkg --static --cflags --libs)
    examples_outside static -static "${flags[@]}"
}

configure() { # version, prefix
    rm -rf "$work/build"
    cmake -S "$here/consumer" -B "$work/build" \
        -DCMAKE_PREFIX_PATH="$2" -DEXAMPLES="$root/examples" -DWANTED_VERSION="$1"
}

cmake_builds() { # prefix
    local program
    configure "${version%.*}" "$1"
    cmake --build "$work/build" --parallel "$(nproc)"
    for program in "$work"/build/*_shared; do runs_with shared "$program"; done
    for program in "$work"/build/*_static "$work"/build/*_alone; do runs_with static "$program"; done
}

cmake_moved() {
    mv "$prefix" "$work/moved"
    trap 'mv "$work/moved" "$prefix"' EXIT # the step is a subshell of its own
    cmake_builds "$work/moved"
}

# Of a range, the newest release that it allows may be older than the installed one.
cmake_takes_only_fitting_versions() {
    local minor=${version%.*}
    local accepted=("$minor" "$version" "$minor EXACT" "$minor...<99" "0.0.1...$version")
    local refused=(0.0.9 0.99 1.0 "0.0.1...0.0.9" "0.0.1...<$version" "0.99...1.0" "$minor COMPONENTS other")
    cmake -S "$here/versions" -B "$own/build" -DCMAKE_PREFIX_PATH="$prefix" \
        -DACCEPTED="$(IFS=';' && echo "${accepted[*]}")" -DREFUSED="$(IFS=';' && echo "${refused[*]}")"
}

stages_for_packagers() {
    DESTDIR=$work/stage PREFIX=/usr LIBDIR=/usr/lib64 "$root/packaging/install.sh"
    [[ -f $work/stage/usr/lib64/libshmetrics.so.$version ]]
    # The units' place does not depend on LIBDIR.
    [[ ! -e $work/stage/usr/lib || $(ls "$work/stage/usr/lib") == systemd ]]
    grep -qx 'prefix=/usr' "$work/stage/usr/lib64/pkgconfig/shmetrics.pc"
    if grep -rlF "$work" "$work/stage/usr/lib64/pkgconfig" "$work/stage/usr/lib64/cmake" "$work/stage/usr/share"; then
        echo "the staging directory is named in these files"
        return 1
    fi
    DESTDIR=$work/stage PREFIX=/usr LIBDIR=/usr/lib64 "$root/packaging/install.sh" --uninstall
    [[ -z $(ls -A "$work/stage") ]]
}

# Spaces, and what sed, systemd and a shell take as their own.
installs_below_any_name() {
    local place=$work/"a b&%c" flags unit
    mkdir "$place"
    PREFIX=$place DESTDIR='' "$root/packaging/install.sh"
    eval "flags=($(PKG_CONFIG_PATH=$place/lib/pkgconfig pkg-config --cflags --libs shmetrics))"
    gcc "$root/examples/c/quickstart.c" "${flags[@]}" -o "$own/program"
    LD_LIBRARY_PATH=$place/lib runs_with shared "$own/program"
    for unit in "$place"/lib/systemd/system/*.service; do
        grep -q "^ExecStart=\"${place//%/%%}/bin/shmetrics\" " "$unit"
    done
    PREFIX=$place DESTDIR='' "$root/packaging/install.sh" --uninstall
    [[ -z $(ls -A "$place") ]]
}

refuses_relative_directories() {
    local name
    for name in PREFIX LIBDIR INCLUDEDIR BINDIR DATADIR UNITDIR ZSHDIR; do
        if (cd "$own" && env DESTDIR="$own/stage" "$name=relative" "$root/packaging/install.sh"); then
            echo "a relative $name was accepted"
            return 1
        fi
    done
    [[ ! -e $own/stage ]]
}

# As `sudo make install`, where root has no Rust.
installs_without_rust() {
    env -u MAKEFLAGS -u MAKELEVEL PATH=/usr/bin:/bin CARGO_TARGET_DIR="${RELEASE_DIR%/release}" \
        make -C "$root" install DESTDIR="$own/stage" PREFIX=/usr
    [[ -f $own/stage/usr/lib/libshmetrics.so.$version ]]
}

# The signal comes with one of the files.
interrupted_installation_can_be_removed() {
    local at
    mkdir "$own/bin"
    printf '#!/bin/bash\necho >>"$CALLS"\n[[ $(wc -l <"$CALLS") != "$AT" ]] || kill -TERM $PPID\nexec /usr/bin/install "$@"\n' >"$own/bin/install"
    chmod +x "$own/bin/install"
    for at in 1 2 9; do
        rm -f "$own/calls"
        if CALLS=$own/calls AT=$at PATH=$own/bin:$PATH DESTDIR=$own/stage PREFIX=/usr "$root/packaging/install.sh"; then return 1; fi
        DESTDIR=$own/stage PREFIX=/usr "$root/packaging/install.sh" --uninstall
        [[ -z $(ls -A "$own/stage") ]] || { find "$own/stage"; return 1; }
    done
}

uninstalls_everything_and_nothing_else() {
    install_here --uninstall
    diff -u "$work/before" <(tree "$prefix")
    if install_here --uninstall; then return 1; fi # nothing left to remove is said, not ignored
}

package_steps() {
    step "install puts the expected files in place" installs_the_expected_files
    [[ ! -x $RELEASE_DIR/shmetrics ]] || step_with systemd-analyze "the installed units are sound" units_are_sound
    step_with pkg-config "examples through pkg-config, shared" pkg_config_shared
    step_with pkg-config "examples through pkg-config, static" pkg_config_static
    step_with pkg-config "examples through pkg-config, with -static" pkg_config_all_static
    step_with cmake "examples through CMake, shared and static" cmake_builds "$prefix"
    step_with cmake "examples through CMake, installed tree moved" cmake_moved
    step_with cmake "CMake takes only versions that fit" cmake_takes_only_fitting_versions
    step "install into a staging directory" stages_for_packagers
    step_with pkg-config "install below a name with spaces" installs_below_any_name
    step "relative directories are refused" refuses_relative_directories
    [[ $RELEASE_DIR != */release ]] || step_with make "make install without Rust" installs_without_rust
    step "an interrupted installation can be removed" interrupted_installation_can_be_removed
    step "uninstall removes exactly what was installed" uninstalls_everything_and_nothing_else
}
