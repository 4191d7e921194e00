#!/usr/bin/env bash
# Runs the steps named, or all of them, and ends with a table and `N passed, N failed, N skipped`.
#
# Named steps run one after another, and their output is shown as it comes. All steps run in two
# lanes at the same time, as many of them mostly wait. The output of a step in a lane is shown when
# the step ends, and is in target/test-steps/STEP.log until then. Steps that lack a component say so
# in a line `skipped: ...`; these lines are repeated at the end, so that nothing is missing quietly.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
root=$PWD
# A proxy is for the network. What the tests start listens on this machine.
export no_proxy=127.0.0.1,localhost,::1,${no_proxy:-${NO_PROXY:-}}
export NO_PROXY=$no_proxy
log=$root/target/test-steps
mkdir -p "$log"

fuzzing=(--manifest-path fuzz/Cargo.toml --target-dir target/fuzz)

format() { scripts/format.sh --check; }
# Files import downwards, and comments end at column 100.
layers() { python3 scripts/layers.py && python3 scripts/comments.py; }
# What `make check` compiles. `clippy` compiles everything.
lint() { cargo clippy --workspace --all-targets -- -D warnings; }
clippy() {
    while read -r folder target linted _; do
        [[ $linted != clippy ]] || cargo clippy --manifest-path "$folder/Cargo.toml" --target-dir "$target" \
            --workspace --all-targets -- -D warnings || return
    done < <(grep -v '^#' scripts/workspaces)
    cargo clippy --workspace --features shmetrics-tests/portable --lib --test portable -- -D warnings
}
# For `make check`, without the models of the protocols, which take longer than the rest. The step
# `rust` runs the models.
unit() { cargo test --workspace --lib --bins --quiet -- --skip shm::model; }
docs() {
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --quiet || return
    python3 benches/rivals/report/test_report.py || return # tables, and their places in docs/benchmarks*
    # The runbook has each metric and each alert, and the dashboards are what their program writes.
    python3 scripts/runbook.py && python3 packaging/grafana/dashboards.py --check
}
licences() { python3 scripts/licences.py; }
# What needs no build: versions, links, what crates contain, what they are made of, manifests, the
# scripts that make packages and that set up a machine. `make release` has the rest.
packaging() {
    local python=target/venv/bin/python
    [[ -x $python ]] || python=python3
    python3 scripts/files.py && python3 scripts/versions.py && python3 scripts/links.py && packaging/tests/crates.sh \
        && python3 scripts/sbom.py cli/Cargo.toml | python3 packaging/tests/sbom.py && "$python" packaging/tests/manifests.py \
        && packaging/tests/setup.sh || return
    if command -v shellcheck > /dev/null; then
        shellcheck --severity warning scripts/*.sh packaging/*.sh packaging/tests/*.sh
    else
        echo 'skipped: shellcheck (not installed)'
    fi
}
# Each test is a process of its own (scripts/isolate.py). Examples in documents are anyhow.
rust() {
    local status=0 host
    host=$(rustc -vV | sed -n 's/^host: //p')
    host=${host^^}
    # Not by its whole path, which cargo takes for two words if it has a space.
    env "CARGO_TARGET_${host//-/_}_RUNNER=scripts/isolate.py" \
        cargo test --workspace --no-fail-fast --lib --bins --tests || status=1
    cargo test --workspace --no-fail-fast --doc || status=1
    return $status
}
# Of the whole workspace, so that the dependencies have the features that `rust` has built.
portable() { cargo test --workspace --features shmetrics-tests/portable --test portable; }
# The facade's recorder is tested by `rust`; here two processes of a framework answer.
adapters() { examples/axum/test.sh; }
crash() { cargo test -p shmetrics-tests --release --test crash; }
churn() { SHMETRICS_LONG=1 cargo test -p shmetrics-tests --release --test storm churn; } # ten million label sets take seconds
# Kept inputs without the engine, the negative control, and some thousand new inputs.
fuzz() {
    cargo test --release "${fuzzing[@]}" && FUZZ_WRONG=1 cargo test --release "${fuzzing[@]}" --test replay || return
    if fuzz/run.sh --build; then
        # The same inputs in every run; `make fuzz` takes new ones.
        FUZZ_SEED=${FUZZ_SEED:-1} fuzz/run.sh "${FUZZ_RUNS:-12000}"
    else
        echo 'skipped: new inputs (the fuzzing engine does not build: it needs a C++ compiler)'
    fi
}
header() {
    [[ -x target/tools/bin/cbindgen ]] || command -v cbindgen > /dev/null || {
        echo 'skipped: header (no cbindgen)'
        return 0
    }
    scripts/header.sh | diff -u include/shmetrics.h - || {
        echo 'include/shmetrics.h is not what src/capi says; run: make header'
        return 1
    }
}
build() { cargo build --release --workspace; }
# Instructions of each hot call, the same in every run: a tenth more is told.
instructions() { tests/instructions/check.py; }
capi() { tests/capi/run.sh; }
interop() { tests/interop/run.sh; }
python() {
    local status=0
    bindings/python/tests/run.sh || status=1
    bindings/python/unit/run.sh || status=1
    return $status
}
nginx() { bindings/nginx/tests/run.sh; }
lua() { bindings/lua/tests/run.sh; }
demo() { make --no-print-directory demo DEMO_SECONDS=10 DEMO_FLAGS='--metrics-port 0'; }

# The two lanes. The first compiles and computes. The second begins with the optimised build, which
# its other steps use; most of these start programs and wait for them. `nginx` also uses what
# `python` has installed. Where steps of both lanes build in one target directory, cargo lets one
# wait for the other. The lanes share nothing else.
computing=(format layers licences packaging clippy docs rust portable fuzz churn crash)
waiting=(build header instructions capi python interop nginx lua adapters demo)

# Runs a step, and notes its result, its seconds by the clock, and those of processors.
run() {
    local step=$1 result=passed TIMEFORMAT='%0R %0U %0S'
    { time "$step" 2>&1 | tee "$log/$step.log"; } 2> "$log/$step.seconds" || result=FAILED
    echo "$result" > "$log/$step.result"
}

lane() {
    local step
    trap 'exit 130' INT
    for step in "$@"; do
        kill -0 "$PPID" || exit # the process that waits for this lane was killed
        echo "-- $step begins"
        run "$step" > /dev/null
        flock "$log" sh -c 'echo && echo "== $1" && cat "$2"' show "$step" "$log/$step.log"
    done
}

# What Ctrl-C does to a lane, which has no terminal: all its processes get the signal.
stop() {
    local groups=("${lanes[@]/#/-}")
    trap '' INT TERM HUP
    kill -INT -- "${groups[@]}"
    for _ in {1..100}; do
        kill -0 -- "${groups[@]}" 2> /dev/null || exit 130
        sleep 0.1
    done
    kill -KILL -- "${groups[@]}"
    exit 130
}

if [[ ${1:-} == --lane ]]; then
    lane "${@:2}"
    exit
fi
steps=("$@")
((${#steps[@]})) || steps=("${computing[@]}" "${waiting[@]}")
for step in "${steps[@]}"; do
    [[ $(type -t "$step") == function ]] || {
        echo "test.sh: no step $step" >&2
        exit 2
    }
    rm -f "$log/$step".{log,result,seconds}
done
if (($#)); then
    for step in "${steps[@]}"; do
        echo
        echo "== $step"
        run "$step"
    done
else
    # A session of its own, without a terminal: tests find the same in every environment. Background
    # commands of a shell ignore Ctrl-C, which tests send to programs.
    lanes=()
    trap stop INT TERM HUP
    for lane in computing waiting; do
        declare -n members=$lane
        env --default-signal=INT,QUIT setsid scripts/test.sh --lane "${members[@]}" < /dev/null &
        lanes+=($!)
    done
    wait
fi

passed=0 failed=0 skipped=0 table=() left_out=()
for step in "${steps[@]}"; do
    result=FAILED wall=0 user=0 system=0
    [[ ! -e $log/$step.result ]] || read -r result < "$log/$step.result"
    [[ ! -e $log/$step.seconds ]] || read -r wall user system < <(tail -n 1 "$log/$step.seconds")
    if [[ $result == passed ]]; then ((passed += 1)); else ((failed += 1)); fi
    table+=("$(printf '%-12s %-6s %5d s %5d s of processors' "$step" "$result" "$wall" $((user + system)))")
    while read -r line; do
        left_out+=("$step: $line")
        ((skipped += 1))
    done < <(grep -aishE '^ *skipped: ' "$log/$step.log")
done
echo
printf '%s\n' "${table[@]}" "${left_out[@]}"
echo
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
