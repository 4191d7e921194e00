#!/usr/bin/env python3
"""Instructions an update, from callgrind's dumps: callgrind.py DIRECTORY. The i-th dump is for the i-th entry of order.json."""

import json
import pathlib
import re
import sys


def total(text):
    """The instructions in one dump."""
    return int(re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)[1])


def main(directory):
    directory = pathlib.Path(directory)
    order = json.loads((directory / "order.json").read_text())
    counts = []
    for i, entry in enumerate(order["order"], start=1):
        instructions = total((directory / f"out.{i}").read_text()) / order["updates"]
        counts.append({**entry, "instructions": instructions})
    print(json.dumps({"updates": order["updates"], "counts": counts}, indent=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
