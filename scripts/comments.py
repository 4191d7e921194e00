#!/usr/bin/env python3
"""Prints each comment that goes beyond column 100, and each file that does not begin with what it is for.

Code may take what its formatter allows.
"""

import pathlib
import re
import subprocess
import sys

COLUMN = 100
ROOT = pathlib.Path(__file__).resolve().parent.parent
SLASHES = re.compile(r"^\s*(//|/\*|\*(\s|/|$))|\s//\s(?![^\"]*\"[^\"]*$)")
HASHES = re.compile(r"^\s*#(\s|$)|\s\s#\s(?![^\"]*\"[^\"]*$)")
DASHES = re.compile(r"(^|\s)--+(\s|\[|$)")
ORDER = re.compile(r"# (noqa|type|fmt|ty|pragma)\b")  # for a tool, and about its line
LANGUAGES = {
    **dict.fromkeys([".rs", ".c", ".h", ".hpp", ".cpp"], SLASHES),
    **dict.fromkeys([".py", ".pyi", ".sh"], HASHES),
    ".lua": DASHES,
}
# How a file begins that says what it is for.
BEGINNINGS = {".rs": ("//!", "#!"), ".lua": "--", **dict.fromkeys([".c", ".cpp", ".h", ".hpp"], ("/*", "//"))}

listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
found = 0
for name in filter(None, listed.stdout.split("\0")):
    suffix = pathlib.Path(name).suffix
    comment = LANGUAGES.get(suffix)
    if comment is None or not (ROOT / name).is_file():
        continue
    text = (ROOT / name).read_text()
    if not text.startswith(BEGINNINGS.get(suffix, "")):
        print(f"{name}:1: the file does not begin with what it is for")
        found += 1
    code = False  # of an example in a documentation comment
    for number, line in enumerate(text.splitlines(), 1):
        code ^= line.lstrip().startswith(("/// ```", "//! ```"))
        if len(line) > COLUMN and comment.search(line) and not code and not ORDER.search(line):
            print(f"{name}:{number}: a comment goes beyond column {COLUMN}")
            found += 1
sys.exit(found > 0)
