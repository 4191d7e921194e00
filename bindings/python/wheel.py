#!/usr/bin/env python3
"""Completes wheels that maturin has built, and writes the notices of what is linked into them.

    wheel.py notices TARGET > FILE             the licences of the crates of the extension and the command, for a target of Rust
    wheel.py add WHEEL COMMAND NOTICES         puts the command and the notices into a wheel, in place
"""

import base64
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = "shmetrics/bin/shmetrics"
NOTICES = "LICENSES-THIRD-PARTY.txt"
NOTICE_FILES = re.compile(r"(?i)(un)?licen[cs]e|copying|copyright|notice")
#: Where a crate may be had under MIT, that is the licence that is taken.
OTHER_CHOICES = re.compile(r"(?i)apache|unlicense|zlib|0bsd|boost")
INTRODUCTION = """\
The library, the command and the extension module for Python are compiled from Rust. Linked into them, besides shmetrics itself (MIT OR Apache-2.0):

* the standard library of Rust, by the Rust project developers (MIT OR Apache-2.0), which holds parts of compiler-rt (MIT);
* in wheels for musl, libunwind, of the LLVM project (Apache-2.0 WITH LLVM-exception), and in the command, musl (MIT), by Rich Felker and others;
* the crates below, under the licences that stand behind their names. The texts follow.
"""


def crates(target):
    """Name, version, licence and folder of all that is compiled into the extension or the command."""
    found = {}
    for manifest in ("bindings/python/Cargo.toml", "cli/Cargo.toml"):
        command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", target, "--manifest-path", ROOT / manifest]
        metadata = json.loads(subprocess.check_output(command))
        packages = {package["id"]: package for package in metadata["packages"]}
        nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        (root,) = (p["id"] for p in metadata["packages"] if pathlib.Path(p["manifest_path"]) == (ROOT / manifest))
        todo, seen = [root], set()
        while todo:
            identity = todo.pop()
            if identity in seen:
                continue
            seen.add(identity)
            package = packages[identity]
            if any("proc-macro" in target["kind"] for target in package["targets"]):
                continue  # it runs in the compiler
            for dependency in nodes[identity]["deps"]:
                # Neither tests nor what runs while it is compiled.
                if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                    todo.append(dependency["pkg"])
            if package["source"] is not None:
                found[package["name"], package["version"]] = package["license"], pathlib.Path(package["manifest_path"]).parent
    return [(*key, *value) for key, value in sorted(found.items())]


def notices(target):
    texts = {}
    print(INTRODUCTION)
    for name, version, licence, folder in crates(target):
        print("%s %s: %s" % (name, version, licence))
        files = [file for file in sorted(folder.iterdir()) if file.is_file() and NOTICE_FILES.match(file.name)]
        if "MIT" in licence and any("mit" in file.name.lower() for file in files):
            files = [file for file in files if not OTHER_CHOICES.search(file.name)]
        for file in files:
            text = "\n".join(line.rstrip() for line in file.read_text("utf-8", "replace").strip().splitlines())
            texts.setdefault(text, []).append("%s (%s)" % (name, file.name))
    for text, names in texts.items():
        print("\n%s\n%s\n\n%s" % ("-" * 100, ", ".join(names), text))


def record_line(name, data):
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return "%s,sha256=%s,%d\n" % (name, digest, len(data))


def without_folder(bill):
    """maturin's bill of materials without the folder of the build, which is in the identities of the crates of this tree."""
    ours = re.search(r'path\+(file://[^"#]*)/bindings/python#', bill)
    return bill.replace(ours[1], "file:///usr/src/shmetrics") if ours else bill


def add(wheel, command, notices_file):
    with zipfile.ZipFile(wheel) as archive:
        members = {info.filename: (info, archive.read(info)) for info in archive.infolist()}
    (record,) = (name for name in members if name.endswith(".dist-info/RECORD"))
    info = record.rpartition("/")[0]
    stamp = members[record][0].date_time

    def put(name, data, mode):
        entry = zipfile.ZipInfo(name, stamp)
        entry.external_attr = (0o100000 | mode) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        members[name] = entry, data

    put(COMMAND, pathlib.Path(command).read_bytes(), 0o755)
    put("%s/licenses/%s" % (info, NOTICES), pathlib.Path(notices_file).read_bytes(), 0o644)
    for name in [name for name in members if name.startswith(info + "/sboms/")]:
        put(name, without_folder(members[name][1].decode()).encode(), 0o644)
    metadata = members[info + "/METADATA"][1].decode()
    lines = metadata.split("\n")
    last = max(i for i, line in enumerate(lines[: lines.index("")]) if line.startswith("License-File: "))
    lines.insert(last + 1, "License-File: " + NOTICES)
    put(info + "/METADATA", "\n".join(lines).encode(), 0o644)
    others = [(name, data) for name, (_, data) in sorted(members.items()) if name != record]
    put(record, ("".join(record_line(*o) for o in others) + record + ",,\n").encode(), 0o644)
    temporary = str(wheel) + ".tmp"
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        # The order of the format: what describes the wheel comes last.
        for name in sorted(members, key=lambda name: (name.startswith(info), name == record, name)):
            archive.writestr(*members[name])
    os.replace(temporary, wheel)


if __name__ == "__main__":
    if sys.argv[1:2] == ["notices"] and len(sys.argv) == 3:
        notices(sys.argv[2])
    elif sys.argv[1:2] == ["add"] and len(sys.argv) == 5:
        add(pathlib.Path(sys.argv[2]), *sys.argv[3:])
    else:
        sys.exit(__doc__)
