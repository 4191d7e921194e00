"""``shmetrics``, and ``python -m shmetrics``: the command of the project, which wheels bring, and what directories are called.

``name``, and ``render`` of a directory, are Python's: they know what a directory's segment is called. All else is the command's.
"""

from __future__ import annotations

import os
import sys
from typing import List

from . import _directory

#: The command of the project, compiled. It is there in wheels; what pip compiles from the sdist has none.
PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "shmetrics")


def _is_pythons(arguments: "List[str]") -> bool:
    if arguments[:1] == ["name"]:
        return True
    if arguments[:1] != ["render"] or len(arguments) > 2:
        return False
    if len(arguments) == 2:
        return os.path.isdir(arguments[1])
    return _directory.from_environment() is not None or not os.path.exists(PROGRAM)


def main() -> int:
    arguments = sys.argv[1:]
    if _is_pythons(arguments):
        from .__main__ import main as of_directories

        return of_directories()
    try:
        os.execv(PROGRAM, ["shmetrics", *arguments])
    except FileNotFoundError:
        reason = "this installation has no such command: it was compiled from the sdist. Install a wheel, or build the command by"
        reason += " `cargo install --path cli` in the repository. There are `name` and `render`"
    except OSError as error:
        reason = "%s: %s" % (PROGRAM, error.strerror)
    print("shmetrics: %s" % reason, file=sys.stderr)
    return 126


if __name__ == "__main__":
    sys.exit(main())
