"""The command ``shmetrics``, which is also ``python -m shmetrics``.

Python does two things itself, as it knows which segment a PROMETHEUS_MULTIPROC_DIR stands for:
``name`` prints the segment's name, and ``render`` of a directory prints its page. Everything else
is done by the compiled command, which wheels contain.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, List

from . import _directory, _segment
from ._native import Exposition, Reader

#: The compiled command. Only wheels contain it: pip does not compile it from the sdist.
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "shmetrics")


def main() -> int:
    arguments = sys.argv[1:]
    if _is_pythons(arguments):
        return _name_or_render(arguments)
    try:
        os.execv(PROGRAM, ["shmetrics", *arguments])
    except FileNotFoundError:
        reason = "this installation has no such command: it was compiled from the sdist. Install a wheel, or build the command by"
        reason += " `cargo install --path cli` in the repository. There are `name` and `render`"
    except OSError as error:
        reason = "%s: %s" % (PROGRAM, error.strerror)
    print("shmetrics: %s" % reason, file=sys.stderr)
    return 126


def _is_pythons(arguments: "List[str]") -> bool:
    if arguments[:1] == ["name"]:
        return True
    if arguments[:1] != ["render"] or len(arguments) > 2:
        return False
    if len(arguments) == 2:
        return os.path.isdir(arguments[1])
    return _directory.from_environment() is not None or not os.path.exists(PROGRAM)


def _name_or_render(arguments: "List[str]") -> int:
    from ._dropin import multiprocess, segments

    parser = argparse.ArgumentParser(prog="python -m shmetrics")
    parser.add_argument(
        "what",
        choices=["name", "render"],
        help="the segment's name, for `shmetrics serve`, which a directory that has none is given; or the page",
    )
    parser.add_argument("directory", nargs="?", help="a PROMETHEUS_MULTIPROC_DIR; without it, what the environment says")
    options = parser.parse_args(arguments)
    given = None if options.directory is not None else _segment.name_from_environment()
    directory = options.directory if options.directory is not None else _directory.from_environment()
    try:
        if options.what == "name":
            print(given or (_directory.claim(directory).name if directory is not None else "default"))
            return 0
        segment: Any = segments.segment_at(directory) if directory is not None else Reader(given or "default")
        if segment is None:
            raise OSError("there is no segment of the directory %s: nothing has counted there yet" % directory)
        if directory is not None:
            # This page is of one segment.
            for other in [segment.path for segment in segments.further_segments(directory)] + multiprocess.files_of(directory):
                print("shmetrics: not on this page: %s" % other, file=sys.stderr)
    except OSError as error:
        print("shmetrics: %s" % error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(segment.render(Exposition("")))
    return 0
