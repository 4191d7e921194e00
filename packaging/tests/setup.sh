#!/usr/bin/env bash
# scripts/setup.sh, interrupted at each call of apt-get by each signal, leaves nothing behind, and
# lets no daemon start while packages are installed.
#
# The packages are not installed: a stand-in for apt-get asks what a package that brings a daemon
# asks, and sends the signal. Needs root, because the script writes to /usr/sbin; here that is a
# file system of its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ ${1:-} != inside ]]; then
    [[ $(id -u) -eq 0 ]] && unshare --mount true 2> /dev/null || {
        echo 'skipped: an interrupted setup (no root, or no namespaces of mounts)'
        exit 0
    }
    exec unshare --mount "packaging/tests/setup.sh" inside
fi
mount --make-rprivate /
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without programs, so that packages are missing on any machine.
mount -t tmpfs -o mode=755 none /usr/sbin
policy=/usr/sbin/policy-rc.d
mkdir -p "$work/tree/scripts" "$work/tree/cli" "$work/bin" "$work/temporary"
cp scripts/setup.sh "$work/tree/scripts/"
cp cli/Cargo.toml "$work/tree/cli/"
for program in cargo cc c++ pkg-config sleep; do ln -s /bin/true "$work/bin/$program"; done
printf '#!/bin/sh\necho "rustc ${RUST:-1.999.0} (of a test)"\n' > "$work/bin/rustc"
chmod +x "$work/bin/rustc"
cat > "$work/bin/apt-get" << 'END'
#!/bin/sh
# The signal comes at the call whose number CALL is.
echo "$*" >> "$STATE/calls"
ask() { /usr/sbin/policy-rc.d nginx start; echo $? >> "$STATE/answers"; }
ask
if [ "$SIGNAL" = lock ] && [ "$(wc -l < "$STATE/calls")" -le "$CALL" ]; then
    echo 'E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt)'
    exit 100
fi
if [ "$(wc -l < "$STATE/calls")" -eq "$CALL" ]; then
    kill -s "$SIGNAL" "$PPID"
    # apt-get goes on, and still no daemon may start.
    ask
fi
END
chmod +x "$work/bin/apt-get"

die() {
    echo "packaging/tests/setup.sh: $*" >&2
    exit 1
}

# Runs the script, and says in `status` how it ended.
run() { # signal, number of the call
    rm -rf "$work/state"
    mkdir "$work/state"
    status=0
    # A shell cannot trap signals that were ignored when it started, as those of a job in the
    # background are. The shell's word about a process that was killed is not wanted.
    {
        PATH=$work/bin:/usr/bin:/bin TMPDIR=$work/temporary STATE=$work/state SIGNAL=$1 CALL=$2 \
            env --default-signal=INT,TERM,HUP "$work/tree/scripts/setup.sh" packages > "$work/log" 2>&1 || status=$?
    } 2> /dev/null
    # What SIGKILL left alone ends by itself.
    exec {lock}< /usr/sbin
    flock -w 60 "$lock" || die 'apt-get does not end'
    exec {lock}<&-
    [[ -s $work/state/answers ]] || die "apt-get was not called: $(cat "$work/log")"
    ! grep -vx 101 "$work/state/answers" || die "a daemon may start during the installation ($1 at call $2)"
    [[ -z $(ls -A "$work/temporary") ]] || die "temporary files are left ($1 at call $2)"
}

run none 0
((status == 0)) || die "the setup failed: $(cat "$work/log")"
[[ ! -e $policy ]] || die 'the policy is left'
calls=$(wc -l < "$work/state/calls")
for ((call = 1; call <= calls; call += 1)); do
    for signal in INT TERM HUP; do
        run "$signal" "$call"
        ((status == 130)) || die "$signal did not end the setup"
        [[ ! -e $policy ]] || die "the policy is left after $signal at call $call"
    done
    # No program can prevent that the policy is left. It forbids nothing, and goes when it is asked.
    run KILL "$call"
    ((status == 137)) || die 'SIGKILL did not end the setup'
    [[ -e $policy ]] || die 'SIGKILL came too late'
    "$policy" nginx start || die 'a policy that was left forbids daemons'
    [[ ! -e $policy ]] || die 'a policy that was asked is left'
    # Or when the script runs again.
    run KILL "$call"
    run none 0
    [[ ! -e $policy ]] || die 'the policy of an interrupted setup is left by the next'
done
# A lock that another program holds is waited for, and said once.
run lock 2
((status == 0)) && ! grep '^skipped' "$work/log" || die "a setup fails if apt is locked: $(cat "$work/log")"
(($(grep -c 'holds the locks of apt' "$work/log") == 1)) || die 'a setup waits and does not say so'
# A Rust that is too old or missing ends the setup before anything else.
refused() { # words of the message, variables of env...
    local words=$1
    shift
    if env PATH="$work/bin:/usr/bin:/bin" STATE="$work/state" "$@" "$work/tree/scripts/setup.sh" packages > "$work/log" 2>&1; then
        die "the setup goes on, though $words"
    fi
    [[ $(wc -l < "$work/log") -eq 1 ]] && grep -q "$words" "$work/log" || die "not one line about '$words': $(cat "$work/log")"
}
for old in 1.9.0 1.63.0 1.87.0; do refused "Rust $old is too old" RUST="$old"; done
mkdir -p "$work/home/bin"
mv "$work/bin/cargo" "$work/home/bin/"
if ! PATH=/usr/bin:/bin command -v cargo > /dev/null; then # Debian's Rust may be installed
    refused 'which is not in PATH' CARGO_HOME="$work/home"
    refused 'Rust is not installed' CARGO_HOME="$work/nowhere"
fi
mv "$work/home/bin/cargo" "$work/bin/"
# The policy of the administrator stays.
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod +x "$policy"
cp -p "$policy" "$work/before"
run none 0
run TERM 1
cmp "$policy" "$work/before" || die "the administrator's policy is changed"
echo "a setup that was interrupted at each of $calls calls of apt-get leaves nothing"
