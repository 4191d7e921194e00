# shellcheck shell=bash
# One line per step and a sum at the end. Sourced by run.sh.
# shellcheck disable=SC2154 # work is run.sh's

steps=0
skipped=0
at_once=$(nproc)

have() { command -v "$1" >/dev/null; }

# step NAME COMMAND...: runs beside the steps before it, up to $at_once of them. The step has the
# directory $own for its files, and another for its segments. The command's output is shown only if
# it fails.
step() {
    while (($(jobs -rp | wc -l) >= at_once)); do wait -n || true; done
    steps=$((steps + 1))
    run_step $steps "$@" &
}

run_step() { # number, name, command...
    local name=$2 status own=$work/steps/$1
    export SHMETRICS_DIR=$SHMETRICS_DIR/$1
    shift 2
    mkdir -p "$own"
    mkdir -m 755 "$SHMETRICS_DIR" # one test looks at it as another user
    set +e
    (
        set -e
        "$@"
    ) >"$own/log" 2>&1
    status=$?
    if ((status == 0)); then
        touch "$own/passed"
        echo "PASS  $name"
    else
        { echo "FAIL  $name (exit $status)" && sed 's/^/      | /' "$own/log"; } >"$own/report"
        cat "$own/report"
    fi
}

# The steps from here on run one after another: each needs what the one before has left.
in_turn() {
    wait
    at_once=1
}

# step_with TOOL NAME COMMAND...: a step that needs a tool; without it the step is skipped.
step_with() {
    local tool=$1
    shift
    if have "$tool"; then
        step "$@"
    else
        skipped=$((skipped + 1))
        echo "skipped: $1 ($tool is not installed)"
    fi
}

# The limit is a watchdog against a program that hangs, not a measurement.
bounded() { timeout 900 "$@"; }

finish() {
    local passed
    wait
    passed=$(find "$work/steps" -name passed | wc -l)
    echo "$passed passed, $((steps - passed)) failed, $skipped skipped"
    ((passed == steps))
}
