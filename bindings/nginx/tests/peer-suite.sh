#!/usr/bin/env bash
# Runs nginx' own test suite on the installed nginx, without the modules and with them counting each
# request and session, and compares which tests fail or are skipped:
# peer-suite.sh DIRECTORY [FILE...]
#
# DIRECTORY, or else NGINX_SUITE, has the suite (the repository nginx/nginx-tests, of the time of
# the nginx version: a newer suite needs directives that an older nginx does not have). JOBS says
# how many files run at once (default 2), RELEASE_DIR names the directory of libshmetrics.so and of
# the command. As root, all runs as www-data. Files whose results differ run again, alone, up to
# three times in each way.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
suite=${1:-${NGINX_SUITE:-}}
if [[ -z $suite || ! -e $suite/lib/Test/Nginx.pm ]]; then
    echo "skipped: nginx' own test suite (NGINX_SUITE names no directory that has it)"
    exit 0
fi
suite=$(cd "$suite" && pwd)
shift $(($# > 0))
. "$here/prepare.sh"

shmetrics=$release/shmetrics
if [[ ! -x $shmetrics ]]; then
    echo "$0: $shmetrics, which shows what was counted, is missing; run \`cargo build --release\` first" >&2
    exit 2
fi
results=$(mktemp -d)
segments=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$results" "$segments"' EXIT
mkdir "$results/stock" "$results/modules" "$results/tmp"
user=()
if ((EUID == 0)); then
    user=(setpriv --reuid=www-data --regid=www-data --clear-groups env HOME=/nonexistent)
    chown -R www-data: "$results" "$segments"
fi

# The suite loads dynamic modules after TEST_NGINX_GLOBALS, but ours need them before. So nginx says
# that it has no dynamic modules, and all of them are loaded here.
cat > "$results/nginx" << 'END'
#!/bin/sh
case $1 in
-V) nginx -V 2>&1 | sed 's/=dynamic//g' >&2 ;;
*) exec /usr/sbin/nginx "$@" ;;
esac
END
sed -i "s|/usr/sbin/nginx|$(command -v nginx)|" "$results/nginx"
chmod 755 "$results/nginx" "$results"
loaded=
for module in http_image_filter http_perl http_xslt_filter mail stream; do
    file=${stream%/*}/ngx_${module}_module.so
    if [[ -n $stream && -e $file ]]; then
        loaded+="load_module $file; "
    else
        echo "skipped: tests of nginx' module $module (not installed)"
    fi
done
export TEST_NGINX_BINARY=$results/nginx TEST_NGINX_GLOBALS=$loaded
modules=$loaded"load_module $built/ngx_http_shmetrics_module.so; "
[[ -z $stream ]] || modules+="load_module $built/ngx_stream_shmetrics_module.so; "
modules+='env SHMETRICS_DIR; shmetrics_zone suite;'
http='shmetrics on; shmetrics_names own vts; shmetrics_exemplar request=$request_id;
    shmetrics_counter suite_requests_total host=$host; shmetrics_histogram suite_sent_bytes value=$bytes_sent host=$host;'
session='shmetrics on; shmetrics_counter suite_sessions_total server=$server_port;'

# run_file stock|modules FILE: writes its log and its results, and the page of what was counted.
run_file() {
    local to=$results/$1/$2
    if [[ $1 == modules ]]; then
        export TEST_NGINX_GLOBALS=$modules TEST_NGINX_GLOBALS_HTTP=$http TEST_NGINX_GLOBALS_STREAM=$session
    fi
    export SHMETRICS_DIR=$segments/$1-$2 TMPDIR=$results/tmp
    mkdir -p "$SHMETRICS_DIR"
    (cd "$suite" && timeout 300 prove -v "$2" > "$to.log" 2>&1 < /dev/null) || true
    grep -aE '^not ok|^ok .*# *(skip|TODO)|^1\.\.|^Result|^ *Parse errors' "$to.log" > "$to.result" || true
    # Tests without nginx, and tests that are skipped, have no segment.
    if [[ $1 == modules && -n $(ls "$SHMETRICS_DIR") ]]; then
        "$shmetrics" render suite > "$to.page" 2>> "$results/faults" || true
    fi
    rm -rf "$SHMETRICS_DIR"
}
export -f run_file
export suite results segments shmetrics modules http session

# run_files WAY JOBS FILE...
run_files() {
    printf '%s\n' "${@:3}" | "${user[@]}" xargs -P "$2" -I '{}' bash -c "run_file $1 {}"
}

# sum NAME: of its samples on all pages.
sum() {
    find "$results/modules" -name '*.page' -exec cat {} + | awk -v name="$1" '{ if ($1 ~ "^" name "($|{)") sum += $NF } END { printf "%d", sum }'
}

if (($#)); then files=("$@"); else files=("$suite"/*.t); fi
files=("${files[@]##*/}")
nginx -v 2>&1
for way in stock modules; do
    start=$SECONDS
    run_files "$way" "${JOBS:-2}" "${files[@]}"
    printf '%-8s %d files, %d tests, %d not ok, %d files that fail, %d s\n' "$way:" "${#files[@]}" \
        "$(cat "$results/$way"/*.log | grep -acE '^(not )?ok')" "$(cat "$results/$way"/*.result | grep -avE '# *TODO' | grep -acE '^not ok' || true)" \
        "$(grep -lE '^Result: FAIL' "$results/$way"/*.result | wc -l)" $((SECONDS - start))
done
requests=$(sum suite_requests_total)
echo "counted: $requests requests, $(sum suite_sessions_total) sessions"
grep -lE '^Result: FAIL' "$results"/stock/*.result | sed 's|.*/\(.*\).result|fails without the modules: \1|' || true

# Tests that depend on time fail now and then: two results of a file are different if no repetition
# of one is equal to one of the other.
differ=0
for file in "${files[@]}"; do
    cmp -s "$results/stock/$file.result" "$results/modules/$file.result" && continue
    same=no
    for ((i = 0; i < 3; i++)); do
        run_files modules 1 "$file"
        cmp -s "$results/stock/$file.result" "$results/modules/$file.result" && same=yes && break
        run_files stock 1 "$file"
        cmp -s "$results/stock/$file.result" "$results/modules/$file.result" && same=yes && break
    done
    if [[ $same == yes ]]; then
        echo "not the same each time, equal when repeated alone: $file"
        continue
    fi
    differ=1
    echo "DIFFERENT: $file"
    diff "$results/stock/$file.result" "$results/modules/$file.result" || true
    tail -30 "$results/modules/$file.log"
done
[[ ! -s $results/faults ]] || sort "$results/faults" | uniq -c
if ((requests == 0)); then
    echo 'nothing was counted' >&2
    exit 1
fi
((differ == 0)) && echo 'equal: the same tests fail and are skipped with the modules and without'
exit "$differ"
