#!/usr/bin/env bash
# Installs, uses, upgrades and purges the packages of target/deb in clean chroots: test.sh
# [SUITE...], by default bookworm and trixie (Debian 12 and 13). Then it runs the commands of
# docs/install.md in systems of their own, until Prometheus has the metrics.
#
# Needs root, debootstrap and a network; takes some minutes. `make deb` builds the packages
# for the nginx of this machine. For another suite the modules for nginx are built in its chroot,
# without Rust. DEBS names the folder of the packages, which has the modules for a suite in a folder
# of the suite's name; MODULES names a folder that gets those that were built, and CHROOTS the
# folder of the clean systems.
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
    local package tree version
    mkdir -p "$2"
    version=$(dpkg-deb -f "$1"/shmetrics_*.deb Version)
    for package in "$1"/*.deb; do
        [[ $package != *-dbgsym_* ]] || continue
        tree=$work/bump
        rm -rf "$tree"
        dpkg-deb -R "$package" "$tree"
        sed -i -E '/^(Version|Depends):/s/'"${version//./\\.}"'/&.1/g' "$tree/DEBIAN/control"
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
    ! compgen -G "$debs/$1/*.deb" > /dev/null || cp "$debs/$1"/*.deb "$inside_debs/"
    rm -f "$inside_debs"/*-dbgsym_*
    cp "$root/packaging/tests/inside.sh" "$root/packaging/tests/app.py" "$root/packaging/tests/writer.py" "$root/examples/c/quickstart.c" "$system/root/"

    inside network "$system" bash /root/inside.sh prepare
    # Modules fit one build of nginx. Has this suite another nginx than the machine that built them?
    if ! inside alone "$system" bash /root/inside.sh fits; then
        rm -f "$inside_debs"/libnginx-mod-*.deb
        mkdir "$system/root/source"
        git archive HEAD | tar -x -C "$system/root/source"
        cp -r "$root/packaging/debian" "$system/root/source/debian"
        inside network "$system" bash /root/inside.sh build_modules
        if [[ -n ${MODULES:-} ]]; then
            mkdir -p "$MODULES/$1"
            cp "$inside_debs"/libnginx-mod-*.deb "$MODULES/$1/"
        fi
    fi
    cp -a "$inside_debs" "$work/debs-$1"
    bump "$inside_debs" "$system/root/newer"
    inside network "$system" bash /root/inside.sh install
    inside alone "$system" bash /root/inside.sh use
    inside alone "$system" bash /root/inside.sh upgrade
    inside alone "$system" bash /root/inside.sh purge
    rm -rf --one-file-system "$system"
    # What Prometheus answers at last, by road.
    newcomer "$1" nginx 'sum(nginx_http_requests_total)' 5
    newcomer "$1" gunicorn 'sum(shop_requests_total)' 5
    newcomer "$1" c 'sum(http_requests_total)' 2000
}

# A newcomer has a clean system, the files of a release, and an application.
newcomer() { # suite, road, query, its value
    local system=$work/$1-$2
    cp -a --reflink=auto "$chroots/$1" "$system"
    cp /etc/resolv.conf "$system/etc/resolv.conf"
    mkdir -p "$system/srv/dist/debian/$1"
    cp "$work/debs-$1"/*.deb "$system/srv/dist/debian/"
    mv "$system/srv/dist/debian"/libnginx-mod-*.deb "$system/srv/dist/debian/$1/"
    cp packaging/tests/{inside.sh,systemctl.sh,app.py} "$system/srv/"
    [[ $2 == c ]] || printf 'http://127.0.0.1%s/\n' "$([[ $2 == nginx ]] || echo :8000)" > "$system/srv/visit"
    # The block of commands below the road's heading, for this suite.
    awk -v road="$2" '/^##+ / { here = tolower($2) == road } here && /^```/ { code = !code; next } here && code' docs/install.md \
        | sed "s,/bookworm/,/$1/,g" > "$system/srv/commands"
    inside network "$system" bash /srv/inside.sh newcomer_system
    inside alone "$system" bash /srv/inside.sh newcomer "$3" "$4"
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
