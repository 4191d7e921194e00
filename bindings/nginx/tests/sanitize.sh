#!/usr/bin/env bash
# Runs the tests with AddressSanitizer in the modules, or with nginx under valgrind:
# sanitize.sh address|valgrind [arguments of unittest].
#
# A finding ends the process, so that the test that caused it fails, and is printed at the end. This
# takes some minutes, and is no part of `make test`.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
kind=${1:?address or valgrind}
shift
export PATH=$PATH:/usr/sbin
reports=$(mktemp -d)
chmod 1777 "$reports" # workers write there too
programs=$(mktemp -d)
trap 'rm -rf "$reports" "$programs"' EXIT
chmod 755 "$programs"
export NGINX_TESTS=${NGINX_TESTS:-$root/target/nginx-tests}-$kind NGINX_IS_SLOW=1
nginx=$(command -v nginx)
case $kind in
address)
    # Each module has the variable ngx_module_order. nginx keeps some memory until its end.
    cat > "$programs/nginx" << END
#!/bin/sh
LD_PRELOAD=$(${CC:-cc} -print-file-name=libasan.so) \\
ASAN_OPTIONS=detect_odr_violation=0:detect_leaks=0:abort_on_error=1:disable_coredump=1:log_path=$reports/report exec $nginx "\$@"
END
    export NGINX_CFLAGS='-fsanitize=address -fno-omit-frame-pointer'
    ;;
valgrind)
    cat > "$programs/nginx" << END
#!/bin/sh
exec valgrind --quiet --vgdb=no --trace-children=yes --error-exitcode=99 --exit-on-first-error=yes --log-file=$reports/report.%p $nginx "\$@"
END
    # Workers cannot be told by their titles there, so these are tests that do not look for them.
    (($#)) || set -- test_outcomes test_counting.Counting.test_upstreams_and_cache test_counting.Counting.test_custom_metrics \
        test_counting.Counting.test_detours_are_one_request test_presets.Vts.test_families_and_labels test_stream.Stream.test_upstreams \
        test_stream.Stream.test_tls test_page.Hostile
    ;;
*)
    sed -n '2,7p' "$0" >&2
    exit 2
    ;;
esac
chmod +x "$programs/nginx"
NGINX_PROGRAM=$programs/nginx "$here/run.sh" "$@"
result=$?
for report in "$reports"/*; do
    [[ -s $report ]] || continue
    head -60 "$report"
    result=1
done
exit "$result"
