# shellcheck shell=bash
# One line per step and a sum at the end. Sourced by run.sh.
# shellcheck disable=SC2154 # work is run.sh's

passed=0
failed=0
skipped=0

have() { command -v "$1" >/dev/null; }

# step NAME COMMAND...: the command's output is shown only if it fails.
step() {
    local name=$1 status
    shift
    set +e
    (
        set -e
        "$@"
    ) >"$work/log" 2>&1
    status=$?
    set -e
    if ((status == 0)); then
        passed=$((passed + 1))
        echo "PASS  $name"
    else
        failed=$((failed + 1))
        echo "FAIL  $name (exit $status)"
        sed 's/^/      | /' "$work/log"
    fi
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
bounded() { timeout 300 "$@"; }

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
}
