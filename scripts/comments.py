#!/usr/bin/env python3
"""Prints each comment that goes beyond column 100, with file and line. Code may take what its formatter allows."""

import pathlib
import re
import subprocess
import sys

COLUMN = 100
ROOT = pathlib.Path(__file__).resolve().parent.parent
SLASHES = re.compile(r"^\s*(//|/\*|\*(\s|/|$))|\s//\s(?![^\"]*\"[^\"]*$)")
HASHES = re.compile(r"^\s*#(\s|$)|\s\s#\s(?![^\"]*\"[^\"]*$)")
ORDER = re.compile(r"# (noqa|type|fmt|ty|pragma)\b")  # for a tool, and about its line
LANGUAGES = {
    **dict.fromkeys([".rs", ".c", ".h", ".hpp", ".cpp"], SLASHES),
    **dict.fromkeys([".py", ".pyi", ".sh"], HASHES),
}

listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
found = 0
for name in filter(None, listed.stdout.split("\0")):
    comment = LANGUAGES.get(pathlib.Path(name).suffix)
    if comment is None or not (ROOT / name).is_file():
        continue
    code = False  # of an example in a documentation comment
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        code ^= line.lstrip().startswith(("/// ```", "//! ```"))
        if len(line) > COLUMN and comment.search(line) and not code and not ORDER.search(line):
            print(f"{name}:{number}: a comment goes beyond column {COLUMN}")
            found += 1
sys.exit(found > 0)
