#!/usr/bin/env python3
"""The files of the tree, for the checks that read all of them. As a program, it tries itself without git."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
#: What builds and tests make; .gitignore names it too.
MADE = {"target", "dist", "__pycache__"}


def listed(suffix=""):
    """The names that git knows or would add. Without git or a repository, as in a tarball: all but what builds make."""
    # The tree may belong to another user, whose hooks are not run here.
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        found = None
    if found is None or found.returncode or not found.stdout:
        names = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if not MADE & set(path.relative_to(ROOT).parts))
    else:
        names = found.stdout.split("\0")
    return [name for name in names if name.endswith(suffix) and (ROOT / name).is_file()]


if __name__ == "__main__":
    known = listed()
    os.environ["PATH"] = "/nowhere"
    assert set(known) <= set(listed()) and "scripts/files.py" in known and set(listed(".md")) < set(listed()), known
