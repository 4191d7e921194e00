"""The prefork server as a child process, followed by what it says on its standard output."""

from __future__ import annotations

import ctypes
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections import Counter

WATCHDOG_SECONDS = 20
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)
_SERVING = re.compile(r"serving http://127\.0\.0\.1:(\d+) metrics http://127\.0\.0\.1:(\d+)/metrics segment (\S+)")
_STARTED = re.compile(r"worker (\d+) (\S+) pid (\d+) started")
_ENDED = re.compile(r"worker (\d+) (\S+) pid (\d+) ended (.+)")


class Failure(Exception):
    """The demo cannot go on; the text says why."""


def _stop_with_the_driver() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Server:
    def __init__(self, command: list[str], segment: str, workers: int) -> None:
        self.segment = segment
        self.workers = workers
        self.kills: Counter[str] = Counter()  # by language
        self.deaths: Counter[str] = Counter()  # workers that ended without being killed from here
        self._alive: dict[int, str] = {}  # pid: language
        self._killed: set[int] = set()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "SHMETRICS_SEGMENT": segment},
            start_new_session=True,  # Ctrl-C is for the driver, which then stops the server
            preexec_fn=_stop_with_the_driver,
        )
        serving = _SERVING.match(self._process.stdout.readline())
        if serving is None:
            self.stop()
            raise Failure("the server did not start; see its message above")
        self.port, self.metrics_port = int(serving[1]), int(serving[2])
        self._follower = threading.Thread(target=self._follow, daemon=True)
        self._follower.start()

    def _follow(self) -> None:
        for line in self._process.stdout:
            with self._lock:
                if started := _STARTED.match(line):
                    self._alive[int(started[3])] = started[2]
                elif ended := _ENDED.match(line):
                    pid = int(ended[3])
                    self._alive.pop(pid, None)
                    if pid not in self._killed:
                        self.deaths[f"{ended[2]} worker ended by itself: {ended[4]}"] += 1

    def alive(self) -> int:
        with self._lock:
            return len(self._alive.keys() - self._killed)

    def languages(self) -> set[str]:
        with self._lock:
            return set(self._alive.values())

    def kill_one(self) -> None:
        """SIGKILLs a random worker of a random language."""
        with self._lock:
            targets: dict[str, list[int]] = {}
            for pid in self._alive.keys() - self._killed:
                targets.setdefault(self._alive[pid], []).append(pid)
            if not targets:
                return
            language = random.choice(sorted(targets))
            pid = random.choice(targets[language])
            self._killed.add(pid)
            self.kills[language] += 1
            os.kill(pid, signal.SIGKILL)

    def check(self) -> None:
        if self._process.poll() is not None:
            raise Failure("; ".join([f"the master ended with status {self._process.returncode}", *self.deaths]))

    def wait_for_workers(self) -> None:
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while self.alive() < self.workers:
            self.check()
            if time.monotonic() > deadline:
                raise Failure(f"only {self.alive()} of {self.workers} workers came up")
            time.sleep(0.02)

    def stop(self) -> int:
        """Ends the server as an administrator would, with SIGTERM; gives its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(WATCHDOG_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()
