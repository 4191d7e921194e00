"""``python -m shmetrics``: the segment's name, and its page."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from . import _directory, _domain, _multiprocess, _segment
from ._native import Exposition, Reading


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m shmetrics")
    parser.add_argument(
        "what",
        choices=["name", "render"],
        help="the segment's name, for `shmetrics serve`, which a directory that has none is given; or the page",
    )
    parser.add_argument("directory", nargs="?", help="a PROMETHEUS_MULTIPROC_DIR; without it, what the environment says")
    options = parser.parse_args()
    given = None if options.directory is not None else _segment.given_name()
    directory = options.directory if options.directory is not None else _directory.from_environment()
    try:
        if options.what == "name":
            print(given or (_directory.claim(directory).name if directory is not None else "default"))
            return 0
        segment: Any = _domain.segment_at(directory) if directory is not None else Reading(given or "default")
        if segment is None:
            raise OSError("there is no segment of the directory %s: nothing has counted there yet" % directory)
        if directory is not None:
            # This page is of one segment.
            for other in [segment.path for segment in _domain.beside(directory)] + _multiprocess._files(directory):
                print("shmetrics: not on this page: %s" % other, file=sys.stderr)
    except OSError as error:
        print("shmetrics: %s" % error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(segment.render(Exposition("")))
    return 0


if __name__ == "__main__":
    from . import _command

    sys.exit(_command.main())
