#!/bin/bash
# In the place of systemctl in a chroot without an init: `systemctl restart UNIT...` starts what the
# units name, as the user that they name.
set -eo pipefail # not -u: variables of units may be unset

setting() { # unit, name
    sed -n "s/^$2=-\?//p" "/usr/lib/systemd/system/$1" "/lib/systemd/system/$1" 2> /dev/null | head -1
}

start() { # unit, what to replace in the command, by what
    local user command file
    user=$(setting "$1" User)
    command=$(setting "$1" ExecStart)
    file=$(setting "$1" EnvironmentFile)
    # shellcheck disable=SC1090
    [[ ! -f $file ]] || . "$file"
    [[ -z ${2:-} ]] || command=${command/"$2"/"$3"}
    # shellcheck disable=SC2086 # a unit's variables are words
    eval "exec setsid setpriv --reuid=${user:-root} --regid=$(id -g "${user:-root}") --init-groups --no-new-privs $command" \
        > "/tmp/$1.log" 2>&1 < /dev/null &
}

[[ $1 == restart ]] || {
    echo "systemctl.sh: $1 is not known" >&2
    exit 1
}
for unit in "${@:2}"; do
    case $unit in
    nginx) nginx ;;
    *.socket) start "${unit%.socket}.service" '--listen systemd' "--listen $(setting "$unit" ListenStream)" ;;
    *) start "$unit.service" ;;
    esac
done
