#!/usr/bin/env python3
"""Holds the instructions of each hot call, as callgrind counts them, against baseline.txt: a tenth more or less is told.

    cargo build --release && tests/instructions/check.py [--write]

The counts are the same in every run, whatever else the machine does. They are those of one compiler, so another's are not compared. Calls go
through the shared library; what they call is in them. RELEASE_DIR names the folder of another library than that of target/release.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BASELINE = HERE / "baseline.txt"
SLACK = 0.10


def skip(why):
    print(f"skipped: instruction counts ({why})")
    sys.exit(0)


def run(*command):
    subprocess.run([str(c) for c in command], check=True, stdout=subprocess.DEVNULL)


def counted(out):
    """Instructions of each exported call, those of what it calls included: {name: each}."""
    names, totals, called = {}, {}, None
    for line in out.splitlines():
        name = re.match(r"(c?)fn=\((\d+)\)(?: (.*))?$", line)
        if name:
            if name[3]:
                names[name[2]] = name[3]
            called = names[name[2]] if name[1] else None
        elif line.startswith("calls="):
            calls = int(line.split("=")[1].split()[0])
        elif called:
            # The line after `calls=`: where from, and the cost of all these calls.
            cost = int(line.split()[-1])
            total = totals.setdefault(called, [0, 0])
            total[0] += calls
            total[1] += cost
            called = None
    hot = {name: total for name, total in totals.items() if name.startswith("shmetrics_") and total[0] >= 1000}
    return {name: round(cost / calls) for name, (calls, cost) in hot.items()}


def soname(library):
    dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    return re.search(r"SONAME.*\[(.*)\]", dynamic)[1]


def measure():
    compiler = shutil.which("cc")
    if not compiler:
        skip("no C compiler")
    if not shutil.which("valgrind"):
        skip("no valgrind")
    library = pathlib.Path(os.environ.get("RELEASE_DIR", ROOT / "target/release")).resolve() / "libshmetrics.so"
    if not library.exists():
        sys.exit(f"{library} is missing: run `cargo build --release` first")
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        (work / soname(library)).symlink_to(library)
        link = ["-L", library.parent, "-lshmetrics", f"-Wl,-rpath,{work}"]
        run(compiler, "-std=c11", "-O2", "-I", ROOT / "include", HERE / "calls.c", "-o", work / "calls", *link)
        out = work / "callgrind.out"
        run("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", work / "calls")
        return counted(out.read_text())


def main():
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    if "--write" in sys.argv:
        lines = [f"rustc {rustc}"] + [f"{name} {count}" for name, count in sorted(measure().items())]
        BASELINE.write_text("\n".join(lines) + "\n")
        return
    was = dict(line.split() for line in BASELINE.read_text().splitlines())
    if was.pop("rustc") != rustc:
        skip(f"the baseline is another compiler's than {rustc}; tests/instructions/check.py --write makes one")
    found, wrong = measure(), 0
    for name, before in was.items():
        now, before = found.get(name, 0), int(before)
        right = abs(now - before) <= SLACK * before
        wrong += not right
        print(f"{name:36} {now:6} instructions, {before} in the baseline{'' if right else '  <- more than a tenth off'}")
    if wrong:
        sys.exit("if that is as it should be: tests/instructions/check.py --write")


if __name__ == "__main__":
    main()
