"""``shmetrics-run gunicorn app:app``: starts a program whose processes count into one segment."""

from __future__ import annotations

import argparse
import os
import re
import stat
import sys
import tempfile
from typing import List, Optional

from . import _directory, _segment
from ._native import __version__


def _directory_of(place: str) -> Optional[str]:
    """Creates a directory for the program, as libraries look for one: one for each current
    directory, in the user's own directory below the system's one for temporary files. ``None`` if
    it cannot be created.
    """
    try:
        base = os.path.join(tempfile.gettempdir(), "shmetrics-%d" % os.geteuid())
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", place).strip("-.")[-100:]
        path = os.path.join(base, "%s-%08x" % (plain, _directory.fnv1a(os.fsencode(place), 32)))
        for made in (base, path):
            try:
                os.mkdir(made)
            except FileExistsError:
                pass
            status = os.lstat(made)
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                return None
            # A server's workers may be other users. They must find the marker, and must not change
            # it.
            os.chmod(made, 0o755)
        return path
    except OSError:
        return None


def _choose(given: Optional[str]) -> str:
    """Sets the program's directory, unless it has one, and returns the name of its segment."""
    directory = _directory.from_environment()
    if directory is not None:
        return given or _directory.claim(directory).name
    try:
        place = os.path.realpath(os.getcwd())
    except FileNotFoundError:
        place = os.readlink("/proc/self/cwd")  # of a directory that was removed
    directory = _directory_of(place)
    if directory is None:
        # Nothing is written into this directory. It must only exist.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = os.environ.get("SHMETRICS_DIR") or "/dev/shm"
        return given or _directory.without_marker(place, _directory.RUN_PREFIX + _directory.encoded(place))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    return given or _directory.claim(directory, _directory.RUN_PREFIX + _directory.encoded(place)).name


def main(arguments: "Optional[List[str]]" = None) -> int:
    parser = argparse.ArgumentParser(
        prog="shmetrics-run",
        description="Starts a program whose processes count into one segment of shared memory, prometheus_client's multiprocess mode included. "
        "Counters begin at 0, unless a process of an earlier start is still there.",
    )
    parser.add_argument("--segment", metavar="NAME", help="the segment's name; $SHMETRICS_SEGMENT, or one for the current directory")
    parser.add_argument("--keep", action="store_true", help="go on with the counts of an earlier start")
    parser.add_argument("--version", action="version", version="shmetrics " + __version__)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...")
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("which program? shmetrics-run gunicorn app:app")
    if options.segment is not None:
        reason = _directory.invalid_name_reason(options.segment)
        if reason is not None:
            parser.error("--segment %s: %s" % (options.segment, reason))
    name = _choose(options.segment or _segment.name_from_environment())
    os.environ["SHMETRICS_SEGMENT"] = name
    if not options.keep:
        try:
            for segment in [name, *_directory.side_segments(name)]:
                _directory.remove_unused(segment)
        except (OSError, ValueError) as error:
            print("shmetrics-run: the counts of an earlier start stay: %s" % error, file=sys.stderr)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print("shmetrics-run: %s: %s" % (command[0], error.strerror), file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126


if __name__ == "__main__":
    sys.exit(main())
