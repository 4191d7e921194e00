"""Samples for Graphite, in its plain text protocol."""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from typing import Any, Callable, Dict, Tuple

from ..registry import REGISTRY

_OTHERS = re.compile(r"[^a-zA-Z0-9_-]")


def _plain(text: str) -> str:
    """What a part of a path may have. Dots separate parts."""
    return _OTHERS.sub("_", text)


class GraphiteBridge:
    """Sends what a registry collects to Graphite. ``tags``: labels are tags, and not parts of the
    path.
    """

    def __init__(
        self,
        address: Tuple[str, int],
        registry: Any = REGISTRY,
        timeout_seconds: float = 30,
        _timer: Callable[[], float] = time.time,
        tags: bool = False,
    ) -> None:
        self._address = address
        self._registry = registry
        self._timeout = timeout_seconds
        self._timer = _timer
        self._tags = tags

    def _labels(self, labels: "Dict[str, str]") -> str:
        form = ";%s=%s" if self._tags else ".%s.%s"
        return "".join(form % (_plain(name), _plain(str(value))) for name, value in sorted(labels.items()))

    def push(self, prefix: str = "") -> None:
        """Sends all samples once."""
        now = int(self._timer())
        before = prefix + "." if prefix else ""
        lines = [
            "%s%s%s %s %d\n" % (before, _plain(sample.name), self._labels(sample.labels), float(sample.value), now)
            for metric in self._registry.collect()
            for sample in metric.samples
        ]
        with socket.create_connection(self._address, self._timeout) as connection:
            connection.sendall("".join(lines).encode("ascii"))

    def start(self, interval: float = 60.0, prefix: str = "") -> None:
        """Sends all samples now and each ``interval`` seconds, from a thread."""
        threading.Thread(target=self._send_again, args=(interval, prefix), name="shmetrics graphite", daemon=True).start()

    def _send_again(self, interval: float, prefix: str) -> None:
        due = time.monotonic()
        while True:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self.push(prefix)
            except OSError:
                logging.exception("Push failed")
            # Those that took too long are left out.
            due += interval * max(1, int((time.monotonic() - due) // interval) + 1)
