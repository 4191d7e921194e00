"""Real HTTP clients on keep-alive connections, which count what they were answered and what failed."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter

# method, path, status that must come back, share of the load
MIX = [
    ("GET", "/", 200, 20),
    ("GET", "/hello", 200, 30),
    ("GET", "/slow", 200, 15),
    ("GET", "/stream", 200, 10),
    ("GET", "/missing", 404, 8),
    ("GET", "/error", 500, 5),
    ("POST", "/echo", 200, 12),
]
_ROUTES = [entry[:3] for entry in MIX]
_WEIGHTS = [entry[3] for entry in MIX]
WATCHDOG_SECONDS = 20
# Well below the server's idle limit, so that it never closes a connection just as a request is
# sent.
REUSE_SECONDS = 1.0


class Client(threading.Thread):
    def __init__(self, port: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        # language, method, path, status
        self.answered: Counter[tuple[str, str, str, int]] = Counter()
        self.failed: Counter[tuple[str, str]] = Counter()  # method, path
        self.wrong: list[str] = []  # answers that are not what was asked for
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WATCHDOG_SECONDS)
        self._stop_event = stop
        self._last_use = 0.0

    def run(self) -> None:
        while not self._stop_event.is_set():
            self._request(*random.choices(_ROUTES, _WEIGHTS)[0])
        self._connection.close()

    def _request(self, method: str, path: str, status: int) -> None:
        if time.monotonic() - self._last_use > REUSE_SECONDS:
            self._connection.close()
        sent = random.randbytes(random.randrange(2000)) if method == "POST" else None
        try:
            self._connection.request(method, path, sent)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            # The worker was killed. The request may have been counted or not: it has no answer.
            self.failed[method, path] += 1
            self._connection.close()
            return
        self._last_use = time.monotonic()
        language = response.getheader("Server", "").removeprefix("prefork/")
        self.answered[language, method, path, response.status] += 1
        if response.status != status or (sent is not None and body != sent):
            self.wrong.append(f"{method} {path} was answered {response.status} with {len(body)} bytes")


class Load:
    def __init__(self, port: int, clients: int) -> None:
        self._stop = threading.Event()
        self._clients = [Client(port, self._stop) for _ in range(clients)]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Every client finishes the request it has begun."""
        self._stop.set()
        for client in self._clients:
            client.join()

    def answered(self) -> Counter[tuple[str, str, str, int]]:
        return sum((client.answered.copy() for client in self._clients), Counter())

    def failed(self) -> Counter[tuple[str, str]]:
        return sum((client.failed.copy() for client in self._clients), Counter())

    def wrong(self) -> list[str]:
        return [answer for client in self._clients for answer in client.wrong]
