"""What the middlewares count: requests, how long they took, and how many there are now."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Dict, Iterable, Optional

from ._native import Counter, Gauge, Histogram

#: The label of requests that no route takes: a path of somebody's choice must not make a series.
UNMATCHED = "unmatched"
#: Methods that HTTP has. Others may be of somebody's choice as well.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"))


class RequestMetrics:
    """``http_requests_total``, ``http_request_latency_seconds`` and ``http_requests_in_progress``."""

    def __init__(self, app_name: str, registry: Any = None, buckets: "Optional[Iterable[float]]" = None) -> None:
        self.app_name = app_name
        self._requests = Counter(
            "http_requests_total",
            "Requests answered.",
            ["app_name", "method", "endpoint", "http_status"],
            registry=registry,
        )
        arguments: "Dict[str, Any]" = {} if buckets is None else {"buckets": list(buckets)}
        self._latency = Histogram(
            "http_request_latency_seconds",
            "Time from the beginning of a request to the end of its answer.",
            ["app_name", "endpoint"],
            registry=registry,
            **arguments,
        )
        self._in_progress = Gauge(
            "http_requests_in_progress",
            "Requests being answered by living processes.",
            ["app_name"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._now = self._in_progress.labels(app_name)

    def begin(self) -> "Request":
        self._now.inc()
        return Request(self)


class Request:
    """One request. It ends once, however often it is told."""

    __slots__ = ("_of", "_start", "_counted", "_ended", "endpoint")

    def __init__(self, of: RequestMetrics) -> None:
        self._of = of
        self._start = perf_counter()
        self._counted = False
        self._ended = False
        self.endpoint: Optional[str] = None

    def answer(self, method: str, endpoint: Optional[str], status: str) -> None:
        """The answer begins: it is counted before anybody has it."""
        if self._counted:
            return
        self._counted = True
        self.endpoint = endpoint if endpoint is not None else UNMATCHED
        method = method if method in METHODS else "other"
        self._of._requests.labels(self._of.app_name, method, self.endpoint, status).inc()

    def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        endpoint = self.endpoint if self.endpoint is not None else UNMATCHED
        try:
            self._of._latency.labels(self._of.app_name, endpoint).observe(perf_counter() - self._start)
        finally:
            # Last, so that a page with nothing in progress has all that ended.
            self._of._now.dec()
