#!/usr/bin/env python3
"""Fails if a bill of materials on standard input is not one of the command."""

import json
import sys

bill = json.load(sys.stdin)
assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
assert bill["metadata"]["component"]["name"] == "shmetrics-cli"
known = {component["bom-ref"]: component for component in bill["components"]}
assert len(known) == len(bill["components"]), "each crate is there once"
names = {component["name"] for component in known.values()}
assert {"shmetrics", "libc", "rustls", "tokio"} <= names, names
# What only tests use is not in the command.
assert not names & {"loom", "shuttle", "proptest", "criterion", "shmetrics-tests"}, names
for component in known.values():
    assert component["licenses"][0]["expression"] != "NOASSERTION", component
    assert "hashes" in component or component["name"].startswith("shmetrics"), component
root = bill["metadata"]["component"]["bom-ref"]
for edge in bill["dependencies"]:
    assert {edge["ref"], *edge["dependsOn"]} <= {root, *known}, edge
print(f"the bill of materials names {len(known)} crates")
