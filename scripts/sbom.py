#!/usr/bin/env python3
"""Prints what is compiled into the command, the C library or the Python package: sbom.py MANIFEST [TARGET].

The output is a CycloneDX 1.5 document in JSON. The same tree gives the same document.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent


def reached(metadata, root):
    """The packages that the root is built from, and what each asks for. Not what only its tests use."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    edges, todo = {}, [root]
    while todo:
        identity = todo.pop()
        if identity in edges:
            continue
        asked = [d["pkg"] for d in nodes[identity]["deps"] if any(kind["kind"] != "dev" for kind in d["dep_kinds"])]
        edges[identity] = sorted(asked)
        todo += asked
    return edges


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, sums):
    entry = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
        "licenses": [{"expression": (package["license"] or "NOASSERTION").replace("/", " OR ")}],
    }
    if (package["name"], package["version"]) in sums:
        entry["hashes"] = [{"alg": "SHA-256", "content": sums[package["name"], package["version"]]}]
    return entry


def checksums(metadata):
    """What Cargo.lock says of the packages of the registry."""
    lock = tomllib.loads(pathlib.Path(metadata["workspace_root"], "Cargo.lock").read_text())
    return {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}


def document(manifest, target):
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", target, "--manifest-path", manifest]
    metadata = json.loads(subprocess.check_output(command))
    packages = {package["id"]: package for package in metadata["packages"]}
    (root,) = (p["id"] for p in metadata["packages"] if p["manifest_path"] == str(pathlib.Path(manifest).resolve()))
    edges = reached(metadata, root)
    sums = checksums(metadata)
    body = {
        "metadata": {"component": {**component(packages[root], {}), "type": "application"}},
        "components": sorted((component(packages[i], sums) for i in edges if i != root), key=lambda c: c["bom-ref"]),
        "dependencies": sorted(
            ({"ref": reference(packages[i]), "dependsOn": sorted(reference(packages[d]) for d in asked)} for i, asked in edges.items()),
            key=lambda d: d["ref"],
        ),
    }
    number = uuid.UUID(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32])
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "serialNumber": f"urn:uuid:{number}", "version": 1, **body}


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    target = sys.argv[2] if len(sys.argv) == 3 else "x86_64-unknown-linux-gnu"
    json.dump(document(sys.argv[1], target), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
