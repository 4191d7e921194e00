#!/usr/bin/env python3
"""Fails if a crate that the library, the command or the Python package is built from has a licence other than the permissive ones,
or comes from elsewhere than crates.io."""

import json
import pathlib
import re
import subprocess
import sys

ALLOWED = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Unicode-3.0", "Zlib", "0BSD"}
#: This repository, and what cargo calls crates.io.
SOURCES = {None, "registry+https://github.com/rust-lang/crates.io-index"}


def allowed(expression):
    """SPDX: every part joined by AND has an allowed choice among those joined by OR."""
    parts = re.split(r"\s+AND\s+", expression.replace("(", "").replace(")", "").replace("/", " OR "))
    return all(any(choice.strip() in ALLOWED for choice in re.split(r"\s+OR\s+", part)) for part in parts)


def main():
    lines = pathlib.Path("scripts/workspaces").read_text().splitlines()
    workspaces = [line.split() for line in lines if not line.startswith("#")]
    manifests = [f"{folder}/Cargo.toml" for folder, *_, last in workspaces if last == "licences"]
    assert manifests, "scripts/workspaces names what is shipped"
    return 1 if sum([check(manifest) for manifest in manifests]) else 0


def check(workspace):
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--manifest-path", workspace]
    metadata = json.loads(subprocess.check_output(command))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    todo, seen = list(metadata["workspace_members"]), set()
    while todo:
        identity = todo.pop()
        if identity in seen:
            continue
        seen.add(identity)
        for dependency in nodes[identity]["deps"]:
            if any(kind["kind"] != "dev" for kind in dependency["dep_kinds"]):
                todo.append(dependency["pkg"])
    bad = [p for p in (packages[i] for i in seen) if not allowed(p["license"] or "none")]
    for package in bad:
        print(f"{package['name']} {package['version']}: {package['license']}", file=sys.stderr)
    foreign = [p for p in (packages[i] for i in seen) if p["source"] not in SOURCES]
    for package in foreign:
        print(f"{package['name']} {package['version']}: from {package['source']}", file=sys.stderr)
    print(f"{workspace}: {len(seen) - len(bad)} crates are permissively licensed, {len(bad)} are not; {len(foreign)} are not from crates.io")
    return len(bad) + len(foreign)


if __name__ == "__main__":
    assert allowed("MIT OR Apache-2.0") and allowed("(MIT OR GPL-3.0) AND Unicode-3.0") and not allowed("GPL-3.0")
    sys.exit(main())
