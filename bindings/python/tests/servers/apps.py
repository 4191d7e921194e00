"""Further applications for the tests, with the routes and metrics of examples/python/flask_app.py:
on other frameworks with prometheus_client, and with the middlewares.

`apps:NAME` makes an application when a server asks for it, so a process has the metrics of one.
"""

from __future__ import annotations

import asyncio
import functools
import time

APP_NAME = "shop"


class Metrics:
    """The metrics of flask_app.py, by prometheus_client."""

    def __init__(self) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        labels = ["app_name", "method", "endpoint", "http_status"]
        self.requests = Counter("http_requests_total", "Requests answered.", labels)
        self.latency = Histogram("http_request_latency_seconds", "Time taken to answer.", labels[:3:2])
        self.in_progress = Gauge("http_requests_in_progress", "Requests being answered now.", labels[:1], multiprocess_mode="livesum")

    async def count(self, method, endpoint, status_of, answer):
        started = time.perf_counter()
        with self.in_progress.labels(APP_NAME).track_inprogress():
            response = await answer
            self.requests.labels(APP_NAME, method, endpoint, status_of(response)).inc()
            self.latency.labels(APP_NAME, endpoint).observe(time.perf_counter() - started)
        return response

    @staticmethod
    def page() -> bytes:
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess

        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)


def make_aiohttp(one_line: bool):
    from aiohttp import web

    async def index(_request):
        return web.Response(text="hello\n")

    async def item(request):
        return web.Response(text=f"item {request.match_info['item']}\n")

    async def slow(request):
        await asyncio.sleep(float(request.match_info["seconds"]))
        return web.Response(text="done\n")

    async def page(_request):
        return web.Response(body=metrics.page())

    @web.middleware
    async def count(request, handler):
        resource = request.match_info.route.resource
        if resource is None or request.path == "/metrics":
            return await handler(request)
        return await metrics.count(request.method, resource.canonical, lambda response: response.status, handler(request))

    metrics = None if one_line else Metrics()
    app = web.Application(middlewares=[] if one_line else [count])
    app.add_routes([web.get("/", index), web.get("/items/{item}", item), web.get("/slow/{seconds}", slow)])
    if one_line:
        import shmetrics.aiohttp

        return shmetrics.aiohttp.instrument(app, app_name=APP_NAME)
    app.router.add_get("/metrics", page)
    return app


def make_fastapi():
    from fastapi import FastAPI, Request, Response

    metrics, app = Metrics(), FastAPI()

    @app.middleware("http")
    async def count(request: Request, call_next):
        first = "/" + request.url.path[1:].partition("/")[0]
        if first not in ("/", "/items", "/slow"):
            return await call_next(request)
        return await metrics.count(request.method, first, lambda response: response.status_code, call_next(request))

    async def index():
        return Response("hello\n")

    async def item(item: int):
        return Response(f"item {item}\n")

    async def slow(seconds: float):
        await asyncio.sleep(seconds)
        return Response("done\n")

    app.add_api_route("/", index)
    app.add_api_route("/items/{item}", item)
    app.add_api_route("/slow/{seconds}", slow)
    app.add_api_route("/metrics", lambda: Response(metrics.page()))
    return app


def make_flask_one_line():
    import shmetrics.flask
    from flask import Flask

    app = Flask(__name__)
    app.add_url_rule("/", "index", lambda: "hello\n")
    app.add_url_rule("/items/<int:item>", "item", lambda item: f"item {item}\n")
    app.add_url_rule("/slow/<float:seconds>", "slow", lambda seconds: time.sleep(seconds) or "done\n")
    return shmetrics.flask.instrument(app, app_name=APP_NAME)


@functools.lru_cache(None)
def _wsgi():
    import shmetrics.wsgi

    def app(environ, start_response):
        first, _, rest = environ["PATH_INFO"][1:].partition("/")
        if first in ("", "items", "slow"):
            environ["shmetrics.endpoint"] = "/" + first
        if first == "slow":
            time.sleep(float(rest))
        status = "200 OK" if first in ("", "items", "slow") else "404 Not Found"
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"done\n"]

    return shmetrics.wsgi.Middleware(app, app_name=APP_NAME)


def wsgi_one_line(environ, start_response):
    """uWSGI looks for a name that the module has."""
    return _wsgi()(environ, start_response)


_MAKE = {
    "aiohttp": functools.partial(make_aiohttp, False),
    "aiohttp_one_line": functools.partial(make_aiohttp, True),
    "fastapi": make_fastapi,
    "flask_one_line": make_flask_one_line,
}


def __getattr__(name: str):
    if name not in _MAKE:
        raise AttributeError(name)
    return globals().setdefault(name, _MAKE[name]())
