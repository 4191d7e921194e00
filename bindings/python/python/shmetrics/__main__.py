"""``python -m shmetrics``: the segment's name, and its page."""

from __future__ import annotations

import argparse
import sys

from . import _directory, _segment
from ._native import Exposition, Segment


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m shmetrics")
    parser.add_argument("what", choices=["name", "render"], help="the segment's name, for `shmetrics serve`; or the page")
    parser.add_argument("directory", nargs="?", help="a PROMETHEUS_MULTIPROC_DIR; without it, what the environment says")
    options = parser.parse_args()
    if options.directory is not None:
        name = _directory.name(options.directory)
    else:
        name = _segment.name_of_default() or "default"
    if options.what == "name":
        print(name)
        return 0
    try:
        page = Segment(name, attach=True).render(Exposition(""))
    except OSError as error:
        print("shmetrics: %s" % error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
