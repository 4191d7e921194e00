#!/usr/bin/env bash
# Installs what a verb of the Makefile needs and the machine lacks: `setup.sh build`, `header`,
# `bench`, `python`, `nginx`, `packages`, `static`, `site`, `release` or `test`.
#
# The script installs Debian packages if the user is root, cbindgen by cargo, and Python packages in
# a virtual environment. It names each component that it cannot install. The tests that need such a
# component say `skipped`.
set -euo pipefail
cd "$(dirname "$0")/.."

cbindgen_version=0.29.4
deny_version=0.20.2
semver_checks_version=0.51.0
missing=()
locked_until=

have() { command -v "$1" > /dev/null 2>&1; }

need() { # program, package
    have "$1" || missing+=("$2")
}

die() {
    echo "setup: $*" >&2
    exit 1
}

# Cargo's own words about a compiler that is too old do not name the cure.
need_rust() {
    local wanted found home=${CARGO_HOME:-${HOME:-}/.cargo}
    if ! have cargo; then
        [[ ! -x $home/bin/cargo ]] || die "cargo is in $home/bin, which is not in PATH"
        die "Rust is not installed: see https://rustup.rs"
    fi
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' cli/Cargo.toml)
    found=$(rustc --version 2>&1) || die "rustc does not run: ${found%%$'\n\n'*}" # without a backtrace
    found=$(cut -d ' ' -f 2 <<< "$found")
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]] ||
        die "Rust $found is too old; $wanted or later is needed (the library alone: see docs/install.md). 'rustup update' gets it"
}

policy=/usr/sbin/policy-rc.d

# Packages that bring a daemon must not start it: it would take the port that the tests, or the
# user, want. The policy forbids that while the lock is held, by this script or by an apt-get that
# outlives it. A policy that SIGKILL left behind forbids nothing, and goes when it is asked or when
# this script runs again.
install_packages() {
    local package lost=() lock='' mark="# Of scripts/setup.sh of shmetrics."
    exec {lock}< "${policy%/*}"
    if ! flock -n "$lock"; then
        echo "setup: the setup of another tree runs; waiting for it, at most ten minutes"
        flock -w 600 "$lock" || true
    fi
    if [[ ! -e $policy ]] || grep -qxF "$mark" "$policy"; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT TERM HUP
        printf '%s\n' '#!/bin/sh' "$mark" "flock -n ${policy%/*} rm -f $policy || exit 101" > "$policy"
        chmod +x "$policy"
    fi
    apt update || true # without a network, the cache may do
    if ! apt install "$@"; then
        for package in "$@"; do # one that cannot be had must not keep out the others
            apt install "$package" || lost+=("$package")
        done
    fi
    if [[ -n $(trap -p EXIT) ]]; then
        rm -f "$policy"
        trap - EXIT INT TERM HUP
    fi
    exec {lock}<&-
    ((${#lost[@]} == 0)) || echo "skipped: ${lost[*]} (apt-get failed; see target/apt.log)"
}

# Another apt-get may hold the locks. All calls together wait five minutes for it.
apt() {
    local before
    while true; do
        before=$(wc -l 2> /dev/null < target/apt.log || echo 0)
        if LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends "$@" >> target/apt.log 2>&1; then return; fi
        tail -n +$((before + 1)) target/apt.log | grep -q 'Could not get lock' || return 1
        if [[ -z $locked_until ]]; then
            locked_until=$((SECONDS + 300))
            echo "setup: another program holds the locks of apt; waiting for it, at most five minutes"
        fi
        ((SECONDS < locked_until)) || return 1
        sleep 2
    done
}

get_packages() {
    ((${#missing[@]})) || return 0
    if [[ $(id -u) -eq 0 ]] && have apt-get; then
        echo "setup: installing ${missing[*]}"
        install_packages "${missing[@]}"
    else
        echo "skipped: ${missing[*]} (not installed; as root: apt-get install ${missing[*]})"
    fi
}

get_cbindgen() {
    if have cbindgen && [[ $(cbindgen --version) == "cbindgen $cbindgen_version" ]]; then
        return
    fi
    get_tool cbindgen "$cbindgen_version"
}

# A program of crates.io. It is not optimised: that would take longer than all its runs.
get_tool() { # program, version
    [[ -x target/tools/bin/$1 ]] && return
    echo "setup: building $1 $2"
    CARGO_PROFILE_DEV_DEBUG=0 cargo install --debug --quiet --locked --version "$2" --root target/tools "$1" \
        || echo "skipped: $1 $2 (cargo install failed)"
}

# A virtual environment. One whose making was interrupted has a Python without pip.
get_venv() { "$1/bin/python" -m pip --version > /dev/null 2>&1 || python3 -m venv --clear "$1"; }

get_python_packages() {
    get_venv target/venv || {
        echo "skipped: Python packages (python3 -m venv failed)"
        return
    }
    target/venv/bin/pip install --quiet --disable-pip-version-check -r tests/interop/requirements.txt \
        || echo "skipped: Python packages (pip install failed)"
}

# What builds the Python package: maturin, zig, which links for other targets and for older C
# libraries than this machine's, and the checks of wheels.
get_maturin() {
    get_venv target/venv || {
        echo "skipped: maturin (python3 -m venv failed)"
        return
    }
    local package program
    for package in 'maturin>=1.9.2,<2' ziglang cargo-zigbuild auditwheel twine; do
        program=${package%%>*}
        [[ -x target/venv/bin/${program/ziglang/python-zig} ]] && continue
        target/venv/bin/pip install --quiet --disable-pip-version-check "$package" || echo "skipped: $program (pip install failed)"
    done
}

# Rust's standard library for the targets named.
get_rust_targets() {
    local target libraries
    libraries=$(rustc --print sysroot)/lib/rustlib
    for target in "$@"; do
        compgen -G "$libraries/$target/lib/libstd-*.rlib" > /dev/null && continue
        rustup target add "$target" >> target/rustup.log 2>&1 \
            || echo "skipped: Rust for $target (rustup target add failed; see target/rustup.log)"
    done
}

# The generator of the documentation site.
get_site_generator() {
    get_venv target/site-venv || {
        echo "skipped: Sphinx (python3 -m venv failed)"
        return
    }
    target/site-venv/bin/pip install --quiet --disable-pip-version-check -r packaging/site/requirements.txt \
        || echo "skipped: Sphinx (pip install failed)"
}

need_packaging_tools() {
    need_nginx
    need dh debhelper
    need dh_python3 dh-python
    need rpmbuild rpm
    need debootstrap debootstrap
    need ip iproute2
}

# The server, and the sources that its modules are built with.
need_nginx() {
    PATH=$PATH:/usr/sbin have nginx || missing+=(nginx)
    [[ -e /usr/share/nginx/src/conf_flags ]] || missing+=(nginx-dev)
    need python3 python3
}

# LuaJIT, and the Lua module of nginx. The package luajit excludes the module, and would be removed
# without a question: a machine that has it keeps it.
need_lua() {
    if dpkg-query -W -f '${db:Status-Abbrev}' luajit 2> /dev/null | grep -q '^ii'; then return 0; fi
    need luajit luajit2
    [[ -e /usr/lib/nginx/modules/ngx_http_lua_module.so ]] || missing+=(libnginx-mod-http-lua)
}

# The newest servers that Debian has, unpacked beside those of its release: a second opinion. They
# need nothing but a libc.
get_newer_servers() {
    local to=target/tools/newer repo
    [[ -x $to/usr/bin/prometheus && -x $to/usr/bin/prometheus-pushgateway && -x $to/usr/bin/victoria-metrics ]] && return
    local work
    work=$(mktemp -d)
    # An interrupted run leaves nothing behind, and no half of a server in its place.
    # shellcheck disable=SC2064
    trap "rm -rf '$work' '$to.part'" EXIT
    trap 'exit 130' INT TERM HUP
    mkdir -p target/tools "$work/lists/partial" "$work/cache/archives/partial"
    # Downloads are done by apt's own user, who must get there.
    chmod 755 "$work"
    [[ $(id -u) -ne 0 ]] || chown -R _apt "$work" 2> /dev/null || true
    # From wherever the release's own packages come.
    repo=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2> /dev/null | grep -m 1 '/debian/\?$') || true
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $repo sid main" > "$work/sources.list"
    local options=(-qq -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
        -o "Dir::Cache=$work/cache")
    if [[ -n $repo ]] && (
        cd "$work" && apt-get "${options[@]}" update && apt-get "${options[@]}" download prometheus prometheus-pushgateway victoria-metrics
    ) >> target/apt.log 2>&1; then
        local package
        for package in "$work"/*.deb; do dpkg -x "$package" "$work/newer"; done
        rm -rf "$to" "$to.part"
        mv "$work/newer" "$to.part" # a copy, if it is another file system
        # Not where it needs a newer libc. From here: nothing may run in /tmp.
        if "$to.part/usr/bin/prometheus" --version > /dev/null 2>&1; then mv "$to.part" "$to"; fi
    fi
    rm -rf "$work" "$to.part"
    trap - EXIT INT TERM HUP
    [[ -d $to ]] || echo "skipped: newer servers: Prometheus, Pushgateway, VictoriaMetrics (not to be had from Debian unstable; see target/apt.log)"
}

mkdir -p target
need_rust
have cc || need cc gcc
need c++ g++
need pkg-config pkg-config
case ${1:-build} in
build) get_packages ;;
header) get_cbindgen ;;
bench) # what is missing is left out of the comparison, with a word
    need valgrind valgrind
    [[ -e /usr/include/prometheus/registry.h ]] || missing+=(prometheus-cpp-dev)
    python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
    get_packages
    ;;
python)
    python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
    get_packages
    get_maturin
    get_rust_targets {aarch64,x86_64}-unknown-linux-{gnu,musl}
    ;;
static)
    need musl-gcc musl-tools
    get_packages
    get_rust_targets "$(uname -m)-unknown-linux-musl"
    ;;
site)
    python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
    get_packages
    get_site_generator
    ;;
release)
    need_packaging_tools
    need lintian lintian
    need musl-gcc musl-tools
    python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
    get_packages
    get_python_packages
    get_maturin
    get_rust_targets {aarch64,x86_64}-unknown-linux-{gnu,musl}
    get_site_generator
    have cargo-deny || get_tool cargo-deny "$deny_version"
    # It compares with the release before, and the first has none.
    [[ -z $(git tag --list 'v*' --no-contains HEAD) ]] || have cargo-semver-checks \
        || get_tool cargo-semver-checks "$semver_checks_version"
    ;;
nginx)
    need_nginx
    get_packages
    ;;
packages)
    need_packaging_tools
    get_packages
    ;;
test)
    need_nginx
    [[ -e /usr/lib/nginx/modules/ngx_stream_module.so ]] || missing+=(libnginx-mod-stream)
    need_lua
    need prometheus-nginx-exporter prometheus-nginx-exporter
    need clang clang
    have clang && [[ -z $(find /usr/lib/clang /usr/lib/llvm* -name 'libclang_rt.asan*' -print -quit 2> /dev/null) ]] \
        && missing+=(libclang-rt-14-dev)
    need cmake cmake
    need valgrind valgrind
    need prometheus prometheus
    need promtool prometheus
    need prometheus-pushgateway prometheus-pushgateway
    need victoria-metrics victoria-metrics
    need wrk wrk
    need curl curl
    need tmux tmux
    need shellcheck shellcheck
    need chromium chromium
    python3 -c 'import ensurepip' 2> /dev/null || missing+=(python3-venv)
    [[ -e $(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h ]] || missing+=(python3-dev) # for uWSGI
    get_packages
    get_cbindgen
    get_python_packages
    get_maturin
    get_newer_servers
    ;;
*) die "unknown part: $1" ;;
esac
