"""``shmetrics.aiohttp.instrument(app)``: metrics of an aiohttp application's requests, and the page at /metrics."""

from __future__ import annotations

import asyncio
from typing import Any, Iterable, Optional

from ._http import RequestMetrics
from ._page import Registry, answer
from .registry import REGISTRY, CollectorRegistry


def _endpoint(request: Any) -> Optional[str]:
    resource = request.match_info.route.resource
    return None if resource is None else str(resource.canonical)


def make_handler(registry: Registry = REGISTRY, disable_compression: bool = False) -> Any:
    """A handler that serves the page."""
    from aiohttp import web

    async def metrics(request: Any) -> Any:
        headers, page = answer(
            registry,
            ",".join(request.headers.getall("Accept", [])),
            ",".join(request.headers.getall("Accept-Encoding", [])),
            request.query_string,
            disable_compression,
        )
        return web.Response(body=page, headers=dict(headers))

    return metrics


def instrument(
    app: Any,
    app_name: str = "app",
    *,
    path: Optional[str] = "/metrics",
    registry: CollectorRegistry = REGISTRY,
    buckets: "Optional[Iterable[float]]" = None,
) -> Any:
    """Counts the requests of an aiohttp application and serves the page at ``path`` (``None``: it does not). Returns the application.

    ``endpoint`` is the resource, such as ``/users/{id}``. Where a handler is cancelled, as the client has gone, the status is 499.
    """
    from aiohttp import web

    metrics = RequestMetrics(app_name, registry, buckets)

    @web.middleware  # type: ignore[untyped-decorator, unused-ignore]
    async def counting(request: Any, handler: Any) -> Any:
        if path is not None and request.path == path:
            return await handler(request)
        of = metrics.begin()
        method, endpoint = request.method, _endpoint(request)
        try:
            response = await handler(request)
            of.answer(method, endpoint, str(response.status))
            return response
        except web.HTTPException as answered:
            of.answer(method, endpoint, str(answered.status))
            raise
        except asyncio.CancelledError:
            of.answer(method, endpoint, "499")
            raise
        except Exception:
            of.answer(method, endpoint, "500")
            raise
        finally:
            of.end()

    app.middlewares.insert(0, counting)
    if path is not None:
        app.router.add_get(path, make_handler(registry))
    return app
