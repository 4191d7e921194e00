#!/usr/bin/env python3
"""Prints each comment that goes beyond column 100, and each file that does not begin with what it is for.

Code may take what its formatter allows.
"""

import pathlib
import re
import sys

from files import ROOT, listed

COLUMN = 100
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

found = 0
for name in listed():
    suffix = pathlib.Path(name).suffix
    comment = LANGUAGES.get(suffix)
    if comment is None:
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
