"""Does something in two forked processes that live at the same time, and prints a page from a
third.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def twice(requests: Callable[[], None], page: Callable[[], str]) -> None:
    lives, live = os.pipe()  # the children wait until the pipe has no writer
    children = []
    for _ in range(2):
        done, report = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(live)
                requests()
                os.close(report)
                os.read(lives, 1)
            except BaseException as error:  # noqa: BLE001 - this process must not go on
                print(repr(error), file=sys.stderr)
                os._exit(1)
            os._exit(0)
        os.close(report)
        os.read(done, 1)
        children.append(child)
    os.close(live)
    for child in children:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    sys.stdout.write(page())
