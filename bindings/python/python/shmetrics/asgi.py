"""Metrics of requests for any ASGI application, such as those of Starlette and FastAPI, and the page."""

from __future__ import annotations

from typing import Any, Awaitable, Callable, Dict, Iterable, Optional

from ._http import RequestMetrics
from ._page import make_asgi_app
from .registry import REGISTRY, CollectorRegistry

Scope = Dict[str, Any]
Receive = Callable[[], Awaitable[Dict[str, Any]]]
Send = Callable[[Dict[str, Any]], Awaitable[None]]


def route_of(scope: Scope) -> Optional[str]:
    """The route that has taken a request, as Starlette and FastAPI note it; ``None`` if none has."""
    path = getattr(scope.get("route"), "path", None)
    if path is not None:
        return str(path)
    if scope.get("endpoint") is None:
        return None
    # Starlette says what has taken the request and what it has found in the path.
    found = str(scope.get("path", ""))
    for name, value in (scope.get("path_params") or {}).items():
        if str(value):
            found = found.replace(str(value), "{%s}" % name, 1)
    return found


class Middleware:
    """Counts the requests of an ASGI application, and serves the page at ``path`` (``None``: it does not).

    The label ``endpoint`` is what ``endpoint(scope)`` returns once the application answers: by default the route, such as ``/users/{id}``.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        app_name: str = "app",
        *,
        path: Optional[str] = "/metrics",
        endpoint: "Callable[[Scope], Optional[str]]" = route_of,
        registry: CollectorRegistry = REGISTRY,
        buckets: "Optional[Iterable[float]]" = None,
    ) -> None:
        self.app = app
        self._path = path
        self._endpoint = endpoint
        self._metrics = RequestMetrics(app_name, registry, buckets)
        self._page = make_asgi_app(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self._path is not None and scope.get("path") == self._path:
            await self._page(scope, receive, send)
            return
        request = self._metrics.begin()
        method = scope.get("method", "GET")

        async def counting(message: "Dict[str, Any]") -> None:
            if message["type"] == "http.response.start":
                request.answer(method, self._endpoint(scope), str(message["status"]))
            await send(message)

        try:
            await self.app(scope, receive, counting)
        except Exception:
            request.answer(method, self._endpoint(scope), "500")
            raise
        finally:
            request.end()


def instrument(app: Any, app_name: str = "app", **options: Any) -> Any:
    """Counts the requests of an application. Returns what is to be served: the application, if it takes middlewares, or it wrapped."""
    if hasattr(app, "add_middleware"):
        app.add_middleware(Middleware, app_name=app_name, **options)
        return app
    return Middleware(app, app_name, **options)
