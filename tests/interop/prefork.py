"""The demo's server, examples/prefork, under load and with its workers being killed, and what its clients saw when."""

from __future__ import annotations

import random
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from shm import ROOT, TARGET

sys.path.insert(0, str(ROOT / "examples" / "prefork"))

from driver.load import Load  # noqa: E402 - of the demo
from driver.server import Server  # noqa: E402

CLIENTS = 8
WORKERS_PER_LANGUAGE = 3
LANGUAGES = ("c", "rust", "cpp")
KILL_SECONDS = (0.5, 1.5)
LOOK_SECONDS = 0.01
BUILT = TARGET / "prefork"


class Seen(NamedTuple):
    """What the clients had seen between two moments, in seconds since 1970."""

    began: float
    ended: float
    answered: int
    failed: int
    in_flight: int  # at most


class Bounds(NamedTuple):
    least: int
    most: int


class Demo:
    """The server, with or without its load, for as long as a `with` lasts."""

    def __init__(self, segment: str) -> None:
        external = [f"rust={BUILT / 'rust' / 'release' / 'prefork-worker'}", f"cpp={BUILT / 'worker-cpp'}"]
        self._command = [str(BUILT / "server"), "-p", "0", "-m", "0", "-n", str(WORKERS_PER_LANGUAGE), *external]
        self.segment = segment
        self.seen: list[Seen] = []

    def __enter__(self) -> Demo:
        self.server = Server(self._command, self.segment, WORKERS_PER_LANGUAGE * len(LANGUAGES))
        try:
            self.server.wait_for_workers()
        except BaseException:
            self.server.stop()
            raise
        self.load = Load(self.server.port, CLIENTS)
        self._over = threading.Event()
        self._look(in_flight=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.status = self.server.stop()

    def run_load(self, seconds: float) -> None:
        """Loads the server and kills its workers meanwhile."""
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        self.load.start()
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self.server.check()
                self.server.kill_one()
                time.sleep(random.uniform(*KILL_SECONDS))
        finally:
            self.load.stop()
            self._over.set()
            watcher.join()
            self._look(in_flight=0)
        self.server.wait_for_workers()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look(in_flight=CLIENTS)

    def _look(self, in_flight: int) -> None:
        began = time.time()
        answered, failed = sum(self.load.answered().values()), sum(self.load.failed().values())
        self.seen.append(Seen(began, time.time(), answered, failed, in_flight))

    def counted(self, start: float, end: float) -> Bounds:
        """What a page rendered between these times may say of all requests.

        A request is counted before it is answered: whatever had been answered before is on the page. And whatever is on
        the page had been answered or had failed afterwards, or was with one of the clients still.
        """
        before = max(bisect_right([s.ended for s in self.seen], start) - 1, 0)
        after = min(bisect_left([s.began for s in self.seen], end), len(self.seen) - 1)
        last = self.seen[after]
        return Bounds(self.seen[before].answered, last.answered + last.failed + last.in_flight)
