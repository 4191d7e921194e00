"""Requests from some threads, each answer and each failure noted, and workers killed meanwhile."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter

from support import Samples, get, kill, total, wait_until

# By what the pages call the route: all examples have these three. Names of the parts in it differ
# by framework.
PATHS = {"/": "/", "/items": "/items/7", "/slow": "/slow/0.03"}
# A request that has no answer after this was lost with its worker.
LOST_SECONDS = 20


class Load:
    def __init__(self, port: int, threads: int = 6) -> None:
        self._port = port
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()  # sent, perhaps: it may or may not have been counted
        self.errors: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.threads = threads
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        chance = random.Random(number)
        while not self._stop.is_set():
            route = chance.choice(list(PATHS))
            try:
                status, body, _ = get(self._port, PATHS[route], timeout=LOST_SECONDS)
            except ConnectionRefusedError:  # no process has seen the request
                time.sleep(0.01)
                continue
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.failed[route] += 1
                    self.errors[type(error).__name__] += 1
                continue
            with self._lock:
                if status == 200:
                    self.answered[route] += 1
                else:
                    self.wrong.append(f"{route} {status} {body[:200]}")

    def total(self) -> int:
        return sum(self.answered.values())


def counted(of: Samples, name: str, route: str, /, **labels: str) -> float:
    """The total of a route, whatever its framework calls the parts in it."""
    found = 0.0
    for (n, has), value in of.items():
        endpoint = dict(has).get("endpoint", "")
        first = "/" + endpoint[1:].partition("/")[0]
        if n == name and first == route and labels.items() <= dict(has).items():
            found += value
    return found


def problems(of: Samples, load: Load, unfinished: int = 0) -> list[str]:
    """Where the page disagrees with what the clients saw: each answer once, and of the failed
    requests each at most once.

    `unfinished` answers may have been sent by a worker that was killed before it had timed them.
    """
    said = list(load.wrong)
    for name, labels, missing in (
        ("http_requests_total", {"app_name": "shop", "method": "GET", "http_status": "200"}, 0),
        ("http_request_latency_seconds_count", {"app_name": "shop"}, unfinished),
        ("http_request_latency_seconds_bucket", {"app_name": "shop", "le": "+Inf"}, unfinished),
    ):
        for route in PATHS:
            value, least, most = counted(of, name, route, **labels), load.answered[route], load.answered[route] + load.failed[route]
            if value < least - missing or value > most:
                said.append(f"{name} of {route} is {value:g}, and should be between {least} and {most}")
            missing -= min(missing, max(0, least - value))
    return said


def kill_now_and_then(server, seconds: float, every: float, least: int = 1) -> int:
    """Kills any worker each time, for so many seconds and at least so often. Another one is always
    left.
    """
    chance, killed, end = random.Random(1), 0, time.monotonic() + seconds
    while time.monotonic() < end or killed < least:
        time.sleep(every)
        workers = server.workers()
        if len(workers) > 1:
            kill(chance.choice(workers))
            killed += 1
    return killed


def settle(server) -> Samples:
    """The page at rest: nothing in progress."""
    wait_until(lambda: server.in_progress() == 0, "nothing in progress")
    return server.samples()


def total_requests(of: Samples) -> float:
    return total(of, "http_requests_total", http_status="200")
