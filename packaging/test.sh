#!/usr/bin/env bash
# Installs, uses, upgrades and purges the packages of target/deb in clean chroots: test.sh
# [SUITE...], by default bookworm and trixie (Debian 12 and 13).
#
# Needs root, debootstrap and a network; takes some minutes. `make deb` builds the packages
# for the nginx of this machine. For another suite the modules for nginx are built in its chroot,
# without Rust. DEBS names the folder of the packages, CHROOTS the folder of the clean systems.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
debs=$(realpath "${DEBS:-target/deb}")
chroots=${CHROOTS:-target/chroots}
suites=("$@")
((${#suites[@]})) || suites=(bookworm trixie)
compgen -G "$debs/libshmetrics0.1_*.deb" > /dev/null || {
    echo "test.sh: there are no packages in $debs; run \`make deb\` first" >&2
    exit 2
}
[[ $(id -u) -eq 0 ]] || {
    echo 'test.sh: chroots take root' >&2
    exit 2
}
mkdir -p "$chroots"
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT

# Runs a step in a chroot, with processes, /proc and /dev/shm of its own, which end with the step.
inside() { # network or alone, chroot, command...
    local space=(--mount --pid --fork --kill-child)
    [[ $1 == network ]] || space+=(--net)
    # shellcheck disable=SC2016
    unshare "${space[@]}" bash -c '
        set -e
        mount -t proc proc "$1/proc"
        mount -t tmpfs -o mode=1777 shm "$1/dev/shm"
        [[ $2 == network ]] || ip link set lo up
        exec chroot "$1" "${@:3}"' inside "$2" "$1" "${@:3}"
}

# The same packages with a later version, as an upgrade has it.
bump() { # from, to
    local package tree
    mkdir -p "$2"
    for package in "$1"/*.deb; do
        [[ $package != *-dbgsym_* ]] || continue
        tree=$work/bump
        rm -rf "$tree"
        dpkg-deb -R "$package" "$tree"
        sed -i -E '/^(Version|Depends):/s/0\.1\.0-1/0.1.0-2/g' "$tree/DEBIAN/control"
        dpkg-deb -b -z1 "$tree" "$2" > /dev/null
    done
}

try() { # suite
    local base=$chroots/$1 system=$work/$1 inside_debs
    if [[ ! -e $base/etc/debian_version ]]; then
        rm -rf "$base" "$base.part"
        debootstrap --variant=minbase "$1" "$base.part" > "$work/debootstrap.log" 2>&1 || {
            tail -5 "$work/debootstrap.log" >&2
            return 1
        }
        mv "$base.part" "$base"
    fi
    cp -a --reflink=auto "$base" "$system"
    cp /etc/resolv.conf "$system/etc/resolv.conf"
    inside_debs=$system/root/debs
    mkdir "$inside_debs"
    cp "$debs"/*.deb "$inside_debs/"
    rm -f "$inside_debs"/*-dbgsym_*
    cp "$root/packaging/tests/inside.sh" "$root/packaging/tests/app.py" "$root/packaging/tests/writer.py" "$root/examples/c/quickstart.c" "$system/root/"

    inside network "$system" bash /root/inside.sh prepare
    # Modules fit one build of nginx. Has this suite another nginx than the machine that built them?
    if ! inside alone "$system" bash /root/inside.sh fits; then
        rm "$inside_debs"/libnginx-mod-*.deb
        mkdir "$system/root/source"
        git archive HEAD | tar -x -C "$system/root/source"
        cp -r "$root/packaging/debian" "$system/root/source/debian"
        inside network "$system" bash /root/inside.sh build_modules
    fi
    bump "$inside_debs" "$system/root/newer"
    inside network "$system" bash /root/inside.sh install
    inside alone "$system" bash /root/inside.sh use
    inside alone "$system" bash /root/inside.sh upgrade
    inside alone "$system" bash /root/inside.sh purge
    rm -rf --one-file-system "$system"
}

failed=0
for suite in "${suites[@]}"; do
    # Not as the condition itself: there, `set -e` ends nothing.
    (try "$suite") > "$work/log" 2>&1 &
    if wait $!; then
        grep '^ok: ' "$work/log" | sed "s/^/$suite: /"
    else
        failed=1
        tail -60 "$work/log"
        echo "FAILED: $suite"
    fi
done
exit $failed
