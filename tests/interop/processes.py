"""Forked processes: one whose result is wanted, and workers that do what they are told."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


def die_with_the_parent(number: int = signal.SIGTERM) -> None:
    """For a process just forked, so that nothing is left of a test that is killed."""
    _libc.prctl(PR_SET_PDEATHSIG, number)


def child(job: Callable[[], Any]) -> None:
    """Runs the job in this forked process and ends it, whatever happens; at the latest with its parent."""
    status = 1
    try:
        die_with_the_parent(signal.SIGKILL)
        job()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def in_child(job: Callable[[], Any]) -> Any:
    """The job's result, from a process of its own: its segments and its crashes are gone with it."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)

        def report() -> None:
            result = pickle.dumps(job())
            with open(theirs, "wb") as pipe:
                pipe.write(result)

        child(report)
    os.close(theirs)
    with open(ours, "rb") as pipe:
        result = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        raise AssertionError(f"the process under test ended with {how}")
    return pickle.loads(result)


class Worker:
    """A forked process that runs `obey(order)` for each order, one at a time. No order is None, which ends it."""

    def __init__(self, obey: Callable[[Any], None]) -> None:
        orders, self._orders = os.pipe()
        self._done, done = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._orders)

            def work() -> None:
                with open(orders, "rb") as pipe:
                    while (order := pickle.load(pipe)) is not None:
                        obey(order)
                        os.write(done, b".")

            child(work)
        os.close(orders)
        os.close(done)

    def do(self, order: Any) -> None:
        os.write(self._orders, pickle.dumps(order))
        if os.read(self._done, 1) != b".":
            raise AssertionError(f"worker {self.pid} died over {order}")

    def end(self, how: str) -> None:
        """By `exit` or `kill`. It is dead and buried when this returns."""
        if how == "kill":
            os.kill(self.pid, signal.SIGKILL)
        else:
            os.write(self._orders, pickle.dumps(None))
        os.close(self._orders)
        os.close(self._done)
        os.waitpid(self.pid, 0)
