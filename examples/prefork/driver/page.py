"""Fetching and reading a page of metrics."""

from __future__ import annotations

import http.client
import re
from collections import Counter

_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_TROUBLE = re.compile(r"^(shmetrics_(?:\w+_refused_total|updates_rejected_total|corrupt_records)) (\S+)$", re.MULTILINE)
WATCHDOG_SECONDS = 20


def fetch(port: int) -> tuple[str, str]:
    """The page of http://127.0.0.1:port/metrics, and the kind of process that rendered it: c, rust, cpp or master."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WATCHDOG_SECONDS)
    try:
        connection.request("GET", "/metrics", headers={"Connection": "close"})
        response = connection.getresponse()
        text = response.read().decode()
        if response.status != 200:
            raise OSError(f"/metrics on port {port} answered {response.status}")
        return text, response.getheader("Server", "").removeprefix("prefork/")
    finally:
        connection.close()


class Page:
    def __init__(self, text: str) -> None:
        # The application's own lines. What the library says of itself may change from one look to
        # the next.
        self.lines = [line for line in text.splitlines() if re.match(r"(# (HELP|TYPE) )?http_", line)]
        # What it says of itself when something went wrong.
        self.troubles = {name: float(value) for name, value in _TROUBLE.findall(text)}
        self._samples = []
        for line in self.lines:
            if not line.startswith("#"):
                name, labels, value = _SAMPLE.fullmatch(line).groups()
                self._samples.append((name, dict(_LABEL.findall(labels or "")), float(value)))

    def by(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """The sums of a metric's samples by some of its labels."""
        sums: Counter[tuple[str, ...]] = Counter()
        for sample, values, value in self._samples:
            if sample == name:
                sums[tuple(values[label] for label in labels)] += value
        return sums

    def quantile(self, histogram: str, q: float) -> float:
        """As histogram_quantile() of Prometheus: linear within the bucket."""
        buckets = sorted((float(le), count) for (le,), count in self.by(histogram + "_bucket", "le").items())
        if not buckets or buckets[-1][1] == 0:
            return 0.0
        rank, low, below = q * buckets[-1][1], 0.0, 0.0
        for high, count in buckets:
            if count >= rank:
                return low if high == float("inf") else low + (high - low) * (rank - below) / (count - below)
            low, below = high, count
        return low
