"""``shmetrics-run gunicorn app:app``: starts a program whose processes count into one segment of shared memory."""

from __future__ import annotations

import argparse
import os
import re
import sys
from typing import List, Optional

from . import _directory
from ._native import Segment, __version__

_DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "multiproc")


def _default_name() -> str:
    """The current directory's name, as far as a segment may be called so."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", os.path.basename(os.getcwd())).strip("-.")
    return name[:100] or "default"


def main(arguments: "Optional[List[str]]" = None) -> int:
    parser = argparse.ArgumentParser(
        prog="shmetrics-run",
        description="Starts a program whose processes count into one segment of shared memory, prometheus_client's multiprocess mode included. "
        "Counters begin at 0, unless a process of an earlier start is still there.",
    )
    parser.add_argument("--segment", metavar="NAME", help="the segment's name; $SHMETRICS_SEGMENT, or the current directory's name")
    parser.add_argument("--keep", action="store_true", help="go on with the counts of an earlier start")
    parser.add_argument("--version", action="version", version="shmetrics " + __version__)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...")
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("which program? shmetrics-run gunicorn app:app")
    directory = _directory.from_environment()
    if directory is None:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = _DIRECTORY
    name = options.segment or os.environ.get("SHMETRICS_SEGMENT")
    if not name:
        # A directory that is set stands for its segment, here as without this command.
        name = _default_name() if directory is None else _directory.name(directory)
    os.environ["SHMETRICS_SEGMENT"] = name
    if not options.keep:
        try:
            Segment.remove_if_unused(name)
        except (OSError, ValueError) as error:
            print("shmetrics-run: the counts of an earlier start stay: %s" % error, file=sys.stderr)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print("shmetrics-run: %s: %s" % (command[0], error.strerror), file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    sys.exit(main())
