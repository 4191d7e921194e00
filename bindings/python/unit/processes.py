"""What several tests do with processes."""

from __future__ import annotations

import inspect
import os


def in_child(f) -> None:
    """Runs `f` in a forked child, and fails if it fails."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            f()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


#: The same, for programs that import `os`.
IN_CHILD = inspect.getsource(in_child)
