"""``shmetrics.aiohttp.instrument(app)``: metrics of an aiohttp application's requests, and the page
at /metrics.
"""

from __future__ import annotations

import asyncio
from typing import Any, Optional

from ._http import GONE, RequestMetrics
from ._page import Registry, respond_async
from .registry import REGISTRY


def make_handler(registry: Registry = REGISTRY, disable_compression: bool = False) -> Any:
    """A handler that serves the page."""
    from aiohttp import web

    async def metrics(request: Any) -> Any:
        status, headers, body = await respond_async(
            registry,
            request.method,
            ",".join(request.headers.getall("Accept", [])),
            ",".join(request.headers.getall("Accept-Encoding", [])),
            request.query_string,
            disable_compression,
        )
        return web.Response(status=status, body=body, headers=dict(headers))

    return metrics


#: As prometheus_client calls it.
make_aiohttp_handler = make_handler


def instrument(app: Any, app_name: str = "app", **options: Any) -> Any:
    """Counts the requests of an aiohttp application and serves the page at ``path`` (``None``: no
    page). Returns the application.

    ``endpoint`` is the resource, such as ``/users/{id}``. The options are those of
    ``RequestMetrics``: see docs/python.md.
    """
    from aiohttp import web

    metrics = RequestMetrics(app_name, **options)
    serve_page = make_handler(metrics.registry)
    key: Any = "shmetrics.%x" % id(metrics)
    if hasattr(web, "RequestKey"):  # newer versions warn of texts
        key = web.RequestKey(key, object)

    @web.middleware  # type: ignore[untyped-decorator, unused-ignore]
    async def counting(request: Any, handler: Any) -> Any:
        path = request.path
        if metrics.path is not None and path.endswith(metrics.path) and path == _prefix(request, app) + metrics.path:
            return await serve_page(request)
        if metrics.excludes(path):
            return await handler(request)
        template = await _template(request) if metrics.endpoint is None else None
        request[key] = of = metrics.begin(request.method, request, lambda: template)
        try:
            return await handler(request)
        except Exception:
            raise  # aiohttp makes an answer of it
        except BaseException:
            of.end(GONE)  # it is cancelled
            raise

    async def prepared(request: Any, response: Any) -> None:
        of = request.get(key)
        if of is None:
            return
        # The status of a file is not known earlier.
        of.answer(response.status)
        # aiohttp runs each request in a task, which ends when the response is sent or the client
        # has gone.
        task = asyncio.current_task()
        if task is None:
            of.end()
        else:
            task.add_done_callback(lambda _: of.end())

    app.middlewares.insert(0, counting)
    app.on_response_prepare.append(prepared)
    return app


async def _template(request: Any) -> Optional[str]:
    """The path of the request's resource, with the prefixes of sub-applications."""
    from aiohttp import web

    resource = request.match_info.route.resource
    if resource is None and isinstance(request.match_info.http_exception, web.HTTPMethodNotAllowed):
        resource = await _without_method(request, request.match_info.apps[0])
    return None if resource is None else str(resource.canonical)


async def _without_method(request: Any, app: Any) -> Any:
    """The first resource that has the path, for any method."""
    for resource in app.router.resources():
        _, allowed = await resource.resolve(request)
        if allowed:
            below = resource.get_info().get("app")
            return resource if below is None else await _without_method(request, below)
    return None


def _prefix(request: Any, app: Any) -> str:
    """The path of an application within the application that is served."""
    apps = request.match_info.apps
    for outer, inner in zip(apps, apps[1:]):
        if inner is app:
            infos = (resource.get_info() for resource in outer.router.resources())
            return str(next((info.get("prefix", "") for info in infos if info.get("app") is app), ""))
    return ""
