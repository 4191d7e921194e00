#!/usr/bin/env bash
# Installs the sets of versions.txt, each into a directory of its own, side by side:
#
#   install.sh PYTHON DIRECTORY
#
# A set that cannot be installed is not there, and test_versions.py says that it is skipped.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$1 directory=$2
stamp=$(sha256sum < "$here/versions.txt")
[[ $(cat "$directory/stamp" 2> /dev/null) != "$stamp" ]] || exit 0
rm -rf "$directory"
mkdir -p "$directory"
while read -r name requirements; do
    # shellcheck disable=SC2086 # several words
    "$python" -m pip --quiet --disable-pip-version-check --retries 1 --timeout 30 install --no-deps --no-compile --only-binary :all: \
        --target "$directory/$name.part" $requirements > "$directory/$name.log" 2>&1 \
        && mv "$directory/$name.part" "$directory/$name" &
done < <(grep -v '^#' "$here/versions.txt")
wait
rm -rf "$directory"/*.part
[[ $(find "$directory" -mindepth 1 -maxdepth 1 -type d | wc -l) -ne $(grep -vc '^#' "$here/versions.txt") ]] || echo "$stamp" > "$directory/stamp"
