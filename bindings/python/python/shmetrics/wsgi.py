"""Metrics of requests for any WSGI application, and the page."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional

from ._http import Request, RequestMetrics
from ._page import make_wsgi_app
from .registry import REGISTRY, CollectorRegistry

#: Where an application, or a framework's hook, says what the label ``endpoint`` is to be.
ENDPOINT = "shmetrics.endpoint"


class Middleware:
    """Counts the requests of a WSGI application, and serves the page at ``path`` (``None``: it does not).

    The label ``endpoint`` is what ``endpoint(environ)`` returns once the application has begun to answer; without that function, what the
    application has put into ``environ["shmetrics.endpoint"]``. It must be a route and not a path. ``None`` is shown as ``unmatched``.
    """

    def __init__(
        self,
        app: Callable[..., "Iterable[bytes]"],
        app_name: str = "app",
        *,
        path: Optional[str] = "/metrics",
        endpoint: "Optional[Callable[[Dict[str, Any]], Optional[str]]]" = None,
        registry: CollectorRegistry = REGISTRY,
        buckets: "Optional[Iterable[float]]" = None,
    ) -> None:
        self.app = app
        self._path = path
        self._endpoint = endpoint
        self._metrics = RequestMetrics(app_name, registry, buckets)
        self._page = make_wsgi_app(registry)

    def __call__(self, environ: "Dict[str, Any]", start_response: Callable[..., Any]) -> "Iterable[bytes]":
        if self._path is not None and environ.get("PATH_INFO") == self._path:
            return self._page(environ, start_response)
        request = self._metrics.begin()
        method = environ.get("REQUEST_METHOD", "GET")

        def counting(status: str, headers: "List[Any]", *exc_info: Any) -> Any:
            request.answer(method, self._endpoint_of(environ), status[:3])
            return start_response(status, headers, *exc_info)

        try:
            body = self.app(environ, counting)
        except BaseException:
            request.answer(method, self._endpoint_of(environ), "500")
            request.end()
            raise
        return _Body(body, request, method, self, environ)

    def _endpoint_of(self, environ: "Dict[str, Any]") -> Optional[str]:
        if self._endpoint is not None:
            return self._endpoint(environ)
        found = environ.get(ENDPOINT)
        return None if found is None else str(found)


class _Body:
    """An answer's body: the request ends when it does."""

    def __init__(
        self, body: "Iterable[bytes]", request: Request, method: str, middleware: Middleware, environ: "Dict[str, Any]"
    ) -> None:
        self._body = body
        self._request = request
        self._failed: "Callable[[], None]" = lambda: request.answer(method, middleware._endpoint_of(environ), "500")

    def __iter__(self) -> "Iterator[bytes]":
        try:
            yield from self._body
        except Exception:
            # Of a generator that fails before it has begun to answer.
            self._failed()
            raise
        finally:
            self._request.end()

    def __len__(self) -> int:
        # Servers send a Content-Length where there is one piece.
        return len(self._body)  # type: ignore[arg-type]

    def close(self) -> None:
        try:
            close: "Optional[Callable[[], Any]]" = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._request.end()

    def __del__(self) -> None:
        # Of servers that do not close what they were given.
        self._request.end()


def instrument(app: Callable[..., "Iterable[bytes]"], app_name: str = "app", **options: Any) -> Middleware:
    """``application = shmetrics.wsgi.instrument(application)``."""
    return Middleware(app, app_name, **options)
