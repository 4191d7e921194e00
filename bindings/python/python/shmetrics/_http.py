"""What all middlewares share: metrics, labels, excluded paths, and when a request begins and ends.
"""

from __future__ import annotations

import os
import re
from time import perf_counter
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Pattern, Tuple, Union

from ._native import Counter, Gauge, Histogram
from ._segment import warn
from .registry import REGISTRY, CollectorRegistry

#: The label of requests that match no route. A path is a client's choice, so it must not make a
#: series.
UNMATCHED = "unmatched"
#: Registered methods. A client may send any other token.
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"))
#: The status of requests that were cancelled, or whose client went away, before the response began.
GONE = "499"
#: The status of requests that the application did not answer: the server sends it then.
FAILED = "500"

#: How many forks made this process. A child that a request's handler forks has a copy of the request,
#: which is the parent's to count.
_forks = 0


def _new_process() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_new_process)

_OWN_LABELS = ("app_name", "method", "endpoint", "http_status", "le")


class RequestMetrics:
    """``http_requests_total``, ``http_request_latency_seconds`` and ``http_requests_in_progress``,
    and the page.

    All middlewares take these arguments. ``context`` is what a framework has for a request: the
    WSGI environment, the ASGI scope, or the framework's request object.

    ``path``: where the page is served, before the application sees the request. ``None``: no page.
    ``endpoint``: a function of the context that returns the route. ``buckets``: the upper bounds of
    the latency histogram. ``prefix``: ``"shop"`` makes ``shop_http_requests_total`` and so on.
    ``labels``: further labels. A value is a text, or a function of the context that returns one.
    ``excluded_paths``: regular expressions. Requests whose whole path matches one are not counted.
    ``max_series``: the most series of each metric. Requests beyond that are counted in one series
    whose labels are all ``overflow``. 0: no limit.
    """

    def __init__(
        self,
        app_name: str = "app",
        *,
        path: Optional[str] = "/metrics",
        endpoint: "Optional[Callable[[Any], Optional[str]]]" = None,
        registry: CollectorRegistry = REGISTRY,
        buckets: "Optional[Iterable[float]]" = None,
        prefix: str = "",
        labels: "Optional[Mapping[str, Union[str, Callable[[Any], str]]]]" = None,
        excluded_paths: "Union[str, Pattern[str], Iterable[Union[str, Pattern[str]]]]" = (),
        max_series: int = 10_000,
    ) -> None:
        _check(isinstance(app_name, str), "app_name must be a text, not %r", app_name)
        _check(path is None or (isinstance(path, str) and path.startswith("/")), "path must begin with '/', or be None: %r", path)
        _check(endpoint is None or callable(endpoint), "endpoint must be a function, not %r", endpoint)
        _check(isinstance(registry, CollectorRegistry), "registry must be a CollectorRegistry of shmetrics, not %r", registry)
        _check(isinstance(prefix, str), "prefix must be a text, not %r", prefix)
        _check(type(max_series) is int and max_series >= 0, "max_series must be a number, not %r", max_series)
        self.app_name = app_name
        self.path = path
        self.endpoint = endpoint
        self.registry = registry
        self._excluded = _patterns(excluded_paths)
        extra = dict(labels or {})
        for name in extra:
            _check(name not in _OWN_LABELS, "labels: %r is a label of the middleware already", name)
            _check(extra[name] is not None, "labels: the value of %r must be a text, or a function that returns one", name)
        self._extra: "List[Union[str, Callable[[Any], str]]]" = [v if callable(v) else str(v) for v in extra.values()]
        constant = {name: str(value) for name, value in extra.items() if not callable(value)}
        of: "Dict[str, Any]" = {"registry": registry, "namespace": prefix, "max_series": max_series}
        bounds: "Dict[str, Any]" = {} if buckets is None else {"buckets": list(buckets)}
        self._requests = Counter(
            "http_requests_total", "Requests answered.", ["app_name", "method", "endpoint", "http_status", *extra], **of
        )
        self._latency = Histogram(
            "http_request_latency_seconds",
            "Time from the beginning of a request to the end of its answer.",
            ["app_name", "endpoint", *extra],
            **bounds,
            **of,
        )
        self._in_progress = Gauge(
            "http_requests_in_progress",
            "Requests being answered by living processes.",
            ["app_name", *constant],
            multiprocess_mode="livesum",
            **of,
        )
        self._now = self._in_progress.labels(app_name, *constant.values())

    def excludes(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._excluded)

    def begin(self, method: str, context: Any, route: "Optional[Callable[[], Optional[str]]]" = None) -> "Request":
        """Begins a request. ``route`` returns the framework's template, for middlewares without
        ``endpoint``.
        """
        self._now.inc()
        return Request(self, method, context, route)

    def _labels_of(self, context: Any, route: "Optional[Callable[[], Optional[str]]]") -> "Tuple[str, ...]":
        found = UNMATCHED
        if self.endpoint is not None:
            found = _call(self.endpoint, context, "endpoint", UNMATCHED)
        elif route is not None:
            found = _call(lambda _: route(), context, "endpoint", UNMATCHED)
        extra = [_call(value, context, "labels", "") if callable(value) else value for value in self._extra]
        return (found, *extra)


class Request:
    """A request. It is counted once and ends once, however often these methods are called, and in the
    process that began it.
    """

    __slots__ = ("_of", "_method", "_context", "_route", "_start", "_labels", "_counted", "_ended", "_forks")

    def __init__(self, of: RequestMetrics, method: str, context: Any, route: "Optional[Callable[[], Optional[str]]]") -> None:
        self._of = of
        self._method = method
        self._context = context
        self._route = route
        self._start = perf_counter()
        self._labels: "Tuple[str, ...]" = ()
        self._counted = False
        self._ended = False
        self._forks = _forks

    def read_labels(self) -> None:
        """Reads the labels now, as the application may drop them before the response begins."""
        if not self._counted:
            self._labels = self._of._labels_of(self._context, self._route)

    def answer(self, status: Any) -> None:
        """The response begins. It is counted before the client receives any of it."""
        if self._counted or self._ended or self._forks != _forks:
            return
        of, code = self._of, status_of(status)
        if code == "101":
            # From here on the connection has another protocol, such as that of a websocket.
            self._ended = True
            of._now.dec()
            return
        if not self._labels:
            self.read_labels()
        self._counted = True
        self._context = self._route = None
        method = self._method.upper()
        endpoint, *extra = self._labels
        of._requests.labels(of.app_name, method if method in METHODS else "other", endpoint, code, *extra).inc()

    def end(self, unanswered: str = FAILED) -> None:
        """The response is complete, or there will be none: then its status is ``unanswered``."""
        if self._ended or self._forks != _forks:
            return
        of = self._of
        self.answer(unanswered)
        self._ended = True
        try:
            if self._counted:
                of._latency.labels(of.app_name, *self._labels).observe(perf_counter() - self._start)
        finally:
            # Last: a page on which nothing is in progress has all requests that ended.
            of._now.dec()

    def __del__(self) -> None:
        # Servers may drop a request without a call, as when the connection breaks.
        try:
            self.end(GONE)
        except Exception:
            pass  # the interpreter is about to end


def status_of(status: Any) -> str:
    """The three digits of a status, which may be a number, a member of an enumeration, or a status
    line.
    """
    text = str(getattr(status, "value", status)).split(" ", 1)[0]
    return text if len(text) == 3 and text.isascii() and text.isdigit() else "invalid"


def _call(f: "Callable[[Any], Any]", context: Any, argument: str, fallback: str) -> str:
    """The text of what a function of the application or of its framework returns; ``fallback`` for
    ``None``. If the function fails, the request must not.
    """
    try:
        found = f(context)
        return fallback if found is None else str(found)
    except Exception as error:
        warn("the middleware's %s: %r" % (argument, error))
        return fallback


def _patterns(excluded: "Union[str, Pattern[str], Iterable[Union[str, Pattern[str]]]]") -> "List[Pattern[str]]":
    if isinstance(excluded, (str, re.Pattern)):
        excluded = [excluded]
    try:
        patterns = [re.compile(pattern) for pattern in excluded]
        for pattern in patterns:
            pattern.fullmatch("/")  # one of bytes matches no text
        return patterns
    except (re.error, TypeError) as error:
        raise ValueError("excluded_paths must be regular expressions: %s" % error) from None


def _check(right: bool, message: str, value: Any) -> None:
    if not right:
        raise ValueError(message % (value,))
