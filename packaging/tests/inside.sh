#!/usr/bin/env bash
# The steps of packaging/test.sh in a chroot: inside.sh STEP. `ok: ...` tells what was shown.
set -euo pipefail
cd /root
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
ours=(libshmetrics0.1 libshmetrics-dev shmetrics python3-shmetrics lua-shmetrics libnginx-mod-http-shmetrics libnginx-mod-stream-shmetrics)

get() { apt-get install -y -qq --no-install-recommends "$@"; }
page() { curl -sS --fail --retry 60 --retry-connrefused --retry-delay 1 "$@"; }

# A new system, with the files of a release, an application, and what apt will ask the network for.
# Questions of programs are answered with yes, and packages start no daemons.
newcomer_system() {
    cd /srv
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/unsafe-io # the chroot is thrown away
    printf 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\nAPT::Keep-Downloaded-Packages "true";\n' > /etc/apt/apt.conf.d/answers
    apt-get update
    get curl
    grep '^apt-get install' commands | sed 's/^apt-get install/& --download-only/' | bash -ex
    mv app.py shop.py
    cp systemctl.sh /usr/local/bin/systemctl
}

# Runs the commands of docs/install.md, and asks Prometheus.
newcomer() { # query, its value
    local found='' address
    cd /srv
    (($(grep -c . commands) > 0 && $(grep -c . commands) < 5))
    bash -ex commands
    if [[ -e visit ]]; then
        read -r address < visit
        for _ in 1 2 3 4 5; do page "$address" > /dev/null; done
    fi
    for _ in $(seq 120); do
        found=$(curl -sS --get --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query || true)
        [[ $found != *",\"$2\"]"* ]] || break
        sleep 1
    done
    echo "$found"
    [[ $found == *",\"$2\"]"* ]] || {
        tail -n 5 /tmp/*.log
        return 1
    }
    echo "ok: after $(grep -c . commands) commands Prometheus has $1"
}

# What users of the packages have already. Daemons are not started: there is no init.
prepare() {
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/unsafe-io # the chroot is thrown away
    apt-get update -qq
    get nginx libnginx-mod-stream libnginx-mod-http-lua gcc libc6-dev pkg-config curl ca-certificates gunicorn python3-prometheus-client zsh fish
}

fits() { dpkg-deb -f debs/libnginx-mod-http-shmetrics_*.deb Depends | grep -w "$(apt-cache show nginx | sed -n 's/^Provides: .*\(nginx-abi-[0-9.-]*\).*/\1/p' | head -1)"; }

# Against the package of the library, as after an upgrade of nginx.
build_modules() {
    get build-essential debhelper nginx-dev ./debs/libshmetrics0.1_*.deb ./debs/libshmetrics-dev_*.deb
    (cd source && DEB_BUILD_PROFILES=pkg.shmetrics.nginx dpkg-buildpackage -b -us -uc)
    rm -f libnginx-mod-*-dbgsym_*
    mv libnginx-mod-*.deb debs/
    apt-get purge -y -qq libshmetrics-dev libshmetrics0.1
    rm -rf source shmetrics_*
    echo 'ok: the modules for nginx are built without Rust, for the nginx of this release'
}

install() {
    get ./debs/*.deb
    ldconfig -p | grep libshmetrics.so.0.1
    # As `systemctl enable shmetrics.socket` does it.
    mkdir -p /etc/systemd/system/sockets.target.wants
    ln -s /usr/lib/systemd/system/shmetrics.socket /etc/systemd/system/sockets.target.wants/
    echo 'ok: installed'
}

use() {
    # C: found by pkg-config, linked to the packaged library.
    # shellcheck disable=SC2046
    gcc quickstart.c $(pkg-config --cflags --libs shmetrics) -o quickstart
    ldd quickstart | grep 'libshmetrics.so.0.1 => .*/lib/'
    ./quickstart > c.out
    shmetrics list > list.out
    echo 'ok: a C program counts'

    # nginx: two workers, one page.
    cat > /etc/nginx/nginx.conf <<'END'
include /etc/nginx/modules-enabled/*.conf;
worker_processes 2;
events {}
shmetrics_zone nginx;
http {
    shmetrics on;
    init_worker_by_lua_block { orders = require("prometheus").init("nginx"):counter("shop_orders_total", "Orders.", {"kind"}) }
    server { listen 127.0.0.1:8080; location = /order { content_by_lua_block { orders:inc(1, {"book"}) ngx.print("ok") } } location / { return 200 "hello\n"; } location = /metrics { shmetrics_page; } }
}
END
    nginx -t
    nginx
    for _ in 1 2 3 4 5; do page http://127.0.0.1:8080/ > /dev/null; done
    page http://127.0.0.1:8080/metrics | grep requests_total > nginx.out
    cat nginx.out
    grep -q ' 5$' nginx.out
    echo 'ok: nginx counts and shows its page'
    for _ in 1 2 3; do page http://127.0.0.1:8080/order > /dev/null; done
    page http://127.0.0.1:8080/metrics | grep '^shop_orders_total{kind="book"} 3$'
    echo 'ok: Lua counts on the page of nginx'

    # gunicorn: prometheus_client in multiprocess mode, unchanged.
    mkdir multiproc
    PROMETHEUS_MULTIPROC_DIR=/root/multiproc gunicorn --workers 3 --bind 127.0.0.1:8000 app:app > gunicorn.log 2>&1 &
    for _ in 1 2 3 4 5 6 7; do page http://127.0.0.1:8000/ > /dev/null; done
    page http://127.0.0.1:8000/metrics | tee gunicorn.out
    grep -q '^shop_requests_total 7' gunicorn.out
    ls -la multiproc
    python3 -m shmetrics render /root/multiproc | grep '^shop_requests_total 7'
    echo 'ok: gunicorn counts, and the page has all workers'

    # One exporter for all.
    shmetrics serve --all --listen 127.0.0.1:9464 > serve.log 2>&1 &
    page http://127.0.0.1:9464/metrics > all.out
    grep -q '^shop_requests_total{.*} 7' all.out
    grep -q 'segment="nginx"' all.out
    echo 'ok: one exporter shows nginx, gunicorn and C on one page'

    for file in /usr/share/man/man1/shmetrics{,-serve}.1.gz /usr/share/bash-completion/completions/shmetrics \
        /usr/share/zsh/vendor-completions/_shmetrics /usr/share/fish/vendor_completions.d/shmetrics.fish \
        /usr/lib/systemd/system/shmetrics.{service,socket} /usr/lib/systemd/system/shmetrics-push.service; do
        [[ -s $file ]]
    done
    grep -q '^ExecStart=/usr/bin/shmetrics ' /usr/lib/systemd/system/shmetrics.service

    bash -c '. /usr/share/bash-completion/completions/shmetrics && complete -p shmetrics'
    zsh -fc 'autoload -U compinit && compinit -D -u && [[ $_comps[shmetrics] == _shmetrics ]] && autoload +X _shmetrics'
    HOME=/root fish -c 'complete -C "shmetrics serve --log.format "' 2> fish.err | grep '^logfmt'
    [[ ! -s fish.err ]]
    echo 'ok: three shells complete the arguments of the command'
}

# Counting goes on while all packages are replaced, and no count is lost.
upgrade() {
    local before version
    version=$(dpkg-query -W -f '${Version}' shmetrics)
    python3 writer.py > writer.out 2>&1 &
    before=$!
    for _ in $(seq 600); do ! grep -q started writer.out 2> /dev/null || break; sleep 0.1; done
    get ./newer/*.deb
    [[ $(dpkg-query -W -f '${Version}' shmetrics) == "$version.1" ]]
    touch upgraded
    wait "$before"
    cat writer.out
    [[ $(shmetrics render upgraded | sed -n 's/^steps_total //p') == $(sed -n 's/^counted //p' writer.out) ]]
    echo 'ok: an upgrade under load loses no count'
}

purge() {
    local left
    apt-get purge -y -qq "${ours[@]}"
    left=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | grep shmetrics || true)
    left+=$(find / -xdev -iname '*shmetrics*' ! -path '/root/*' ! -path '/proc/*' ! -path '/var/cache/apt/*' ! -path '/var/log/*' ! -path '/dev/shm/*')
    [[ -z $left ]] || {
        echo "these are left: $left"
        return 1
    }
    echo 'ok: a purge leaves nothing'
}

"$@"
