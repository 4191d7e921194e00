#!/usr/bin/env python3
"""Fails if the places that state the version of a release disagree: versions.py [--release].

`--release` also fails if the changelogs call the version unreleased.
"""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
#: Crates of this repository that others depend on by version.
OURS = ("shmetrics", "shmetrics-derive")


def read(path):
    return (ROOT / path).read_text()


def find(pattern, path):
    match = re.search(pattern, read(path), re.M)
    return match.group(1) if match else None


def dependencies(manifest):
    """What the crate asks of other crates of this repository."""
    table = tomllib.loads(read(manifest))
    for section in ("dependencies", "dev-dependencies", "build-dependencies"):
        for name, wanted in table.get(section, {}).items():
            if isinstance(wanted, dict) and wanted.get("package", name) in OURS and "version" in wanted:
                yield f"{manifest}: {name}", wanted["version"]


def stated():
    version = tomllib.loads(read("Cargo.toml"))["workspace"]["package"]["version"]
    yield "Cargo.toml", version
    for manifest in ("Cargo.toml", "cli/Cargo.toml", "bindings/c/Cargo.toml", "bindings/metrics/Cargo.toml", "derive/Cargo.toml"):
        package = tomllib.loads(read(manifest))["package"]["version"]
        yield manifest, version if package == {"workspace": True} else package
        yield from dependencies(manifest)
    yield "bindings/python/Cargo.toml", tomllib.loads(read("bindings/python/Cargo.toml"))["package"]["version"]
    yield "CHANGELOG.md", find(r"^## (?:Unreleased: )?([0-9][^\s]*)", "CHANGELOG.md")
    yield "packaging/debian/changelog", find(r"\Ashmetrics \(([^)]*)-[^-)]*\)", "packaging/debian/changelog")
    yield "packaging/shmetrics.spec", find(r"^Version:\s*(\S+)", "packaging/shmetrics.spec")


def library_package(version):
    """Debian's name for a library: its own name and the version in its soname."""
    major, minor, _ = version.split(".")
    return "libshmetrics" + (f"0.{minor}" if major == "0" else major)


def main():
    places = list(stated())
    version = places[0][1]
    wrong = [f"{place}: {says}, not {version}" for place, says in places if says != version]
    package = library_package(version)
    if f"\nPackage: {package}\n" not in read("packaging/debian/control"):
        wrong.append(f"packaging/debian/control: the library's soname makes its package {package}")
    for file in ("packaging/debian/control", "packaging/test.sh", "packaging/tests/inside.sh", "docs/install.md", "bindings/lua/shmetrics.lua"):
        named = set(re.findall(r"libshmetrics(?:\.so\.)?([0-9][0-9.]*[0-9]|[0-9])", read(file)))
        if named != {package.removeprefix("libshmetrics")}:
            wrong.append(f"{file}: the library's soname has the version {package.removeprefix('libshmetrics')}, not {named}")
    if not (ROOT / f"packaging/debian/{package}.install").exists():
        wrong.append(f"packaging/debian/{package}.install is missing")
    if "--release" in sys.argv[1:]:
        wrong += [f"{file}: the version is not released" for file, word in (("CHANGELOG.md", "## Unreleased"), ("packaging/debian/changelog", "UNRELEASED")) if word in read(file)]
    print("\n".join(wrong) if wrong else f"{len(places)} places state version {version}")
    return bool(wrong)


if __name__ == "__main__":
    assert library_package("0.1.0") == "libshmetrics0.1" and library_package("2.3.4") == "libshmetrics2"
    sys.exit(main())
