#!/usr/bin/env bash
# Builds the image of packaging/container with podman, runs it as the pod's exporter is run, and
# reads what an application counted: image.sh COMMAND APPLICATION.
#
# COMMAND is the static command. APPLICATION is a program that registers `http_requests_total` in
# the segment that its argument names; it runs on the host. Needs root and podman. Where podman
# builds images but cannot run containers, a line `skipped: ...` says so.
set -euo pipefail
command=$(realpath "${1:?the static command}")
application=$(realpath "${2:?an application}")
cd "$(dirname "$0")/../.."
command -v podman > /dev/null || {
    echo 'skipped: the image by an engine (no podman)'
    exit 0
}
work=$(mktemp -d)
name=shmetrics-image-$$
export STORAGE_DRIVER=vfs # an overlay on an overlay is not for everyone
engine=(podman --root "$work/storage" --runroot "$work/run" --cgroup-manager cgroupfs)
# shellcheck disable=SC2317
clean() {
    "${engine[@]}" rm --force --ignore "$name" > /dev/null 2>&1 || true
    # podman mounts its folder on itself.
    for mounted in "$work/segments" "$work"/storage/*; do umount "$mounted" 2> /dev/null || true; done
    rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM HUP
die() {
    echo "packaging/tests/image.sh: $*" >&2
    exit 1
}

mkdir "$work/folder" "$work/segments"
cp "$command" "$work/folder/shmetrics"
"${engine[@]}" build --isolation chroot --tag "$name" --file packaging/container/Containerfile "$work/folder" > "$work/log" 2>&1 \
    || die "podman does not build the image: $(cat "$work/log")"
said=$("${engine[@]}" image inspect --format '{{.Config.User}} {{.Config.Entrypoint}} {{.Config.Cmd}} {{.Config.Env}}' "$name")
[[ $said == '65532:65532 [/shmetrics] [serve --all --owner any --listen :9464] '*'SHMETRICS_DIR=/run/shmetrics'* ]] || die "the image says: $said"
echo "ok: podman builds the image, of $(($("${engine[@]}" image inspect --format '{{.Size}}' "$name") / 1000)) kB"

# A sandbox may lack what one of the runtimes needs, and may not raise limits.
limits=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
runtime=
for candidate in crun runc; do
    if "${engine[@]}" --runtime "$candidate" run --rm --network host "${limits[@]}" "$name" --version > "$work/version" 2> "$work/log"; then
        runtime=$candidate
        break
    fi
done
if [[ -z $runtime ]]; then
    [[ $("$command" --version) == shmetrics* ]] || die 'the command does not run'
    echo "skipped: a container of the image (podman cannot run one here: $(tail -n 1 "$work/log"))"
    exit 0
fi

mount -t tmpfs -o mode=2770,gid=2000 none "$work/segments"
chmod 711 "$work"
cp "$application" "$work/application"
setpriv --reuid 1000 --regid 2000 --clear-groups env SHMETRICS_DIR="$work/segments" SHMETRICS_MODE=0640 SHMETRICS_GROUP=2000 "$work/application" shop > /dev/null
"${engine[@]}" --runtime "$runtime" run --detach --name "$name" --network host "${limits[@]}" --read-only --cap-drop all \
    --security-opt no-new-privileges --group-add 2000 --volume "$work/segments:/run/shmetrics:ro" \
    "$name" serve --all --owner 1000 --listen 127.0.0.1:0 > /dev/null
for _ in $(seq 600); do
    address=$("${engine[@]}" logs "$name" 2>&1 | grep -o -m 1 'http://127[^ "]*' || true)
    [[ -z $address ]] || break
    sleep 0.1
done
[[ -n $address ]] || die "the exporter does not listen: $("${engine[@]}" logs "$name" 2>&1)"
python3 -c '
import sys, urllib.request
page = urllib.request.urlopen(sys.argv[1] + "/metrics", timeout=60).read().decode()
assert "http_requests_total{" in page, page' "${address%/metrics}"
[[ $("${engine[@]}" --runtime "$runtime" exec "$name" /shmetrics --version) == "$(cat "$work/version")" ]]
echo 'ok: a container of the image shows what an application of another user counted'
