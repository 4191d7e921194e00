#!/usr/bin/env bash
# Each crate that is published contains its sources, licences and texts, and nothing else.
set -euo pipefail
cd "$(dirname "$0")/../.."
# They are published in this order.
crates=(shmetrics-derive shmetrics shmetrics-metrics shmetrics-cli)
failed=0
for crate in "${crates[@]}"; do
    files=$(cargo package --list --allow-dirty --quiet -p "$crate")
    other=$(grep -vE '^(src/.*\.(rs|html|css|js|svg)|docs/[a-z0-9-]+\.md|(README|CHANGELOG)\.md|LICENSE-(MIT|APACHE)|Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json)$' <<< "$files" || true)
    for file in src/ LICENSE-MIT LICENSE-APACHE; do
        grep -q "^$file" <<< "$files" || other+=" no $file"
    done
    if [[ -n $other ]]; then
        echo "$crate: $other"
        failed=1
    fi
done
# What cannot be published is not among them, and nothing else is left out.
published=$(cargo metadata --no-deps --format-version=1 --locked --offline | python3 -c '
import json, sys
print(*sorted(p["name"] for p in json.load(sys.stdin)["packages"] if p["publish"] is None))')
[[ $published == "$(printf '%s\n' "${crates[@]}" | sort | tr '\n' ' ' | sed 's/ $//')" ]] || {
    echo "these crates can be published: $published; packaging/tests/crates.sh knows: ${crates[*]}"
    failed=1
}
((failed)) || echo "${#crates[@]} crates contain what they should"
exit $failed
