"""Helpers for the tests of the middlewares: calls without a server, and counts."""

from __future__ import annotations

import asyncio


def value(registry, name, **labels):
    return registry.get_sample_value(name, {"app_name": "shop", **labels})


def total(registry, method="GET", endpoint="unmatched", http_status="200"):
    return value(registry, "http_requests_total", method=method, endpoint=endpoint, http_status=http_status)


def in_progress(registry):
    return value(registry, "http_requests_in_progress")


def timed(registry, endpoint="unmatched"):
    return value(registry, "http_request_latency_seconds_count", endpoint=endpoint)


def responds(body):
    """A WSGI application whose body this is."""

    def app(environ, start_response):
        start_response("200 OK", [])
        return body

    return app


def call_wsgi(app, path="/", method="GET", close=True, **environ):
    """The body of the answer."""
    body = app({"REQUEST_METHOD": method, "PATH_INFO": path, **environ}, lambda status, headers, *exc: None)
    try:
        return b"".join(body)
    finally:
        if close and hasattr(body, "close"):
            body.close()


def call_asgi(app, path="/", receive=None, **scope):
    """The messages that were sent."""
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "GET", "path": path, "headers": [], **scope}, receive, send))
    return sent


async def receive_nothing():
    """For requests without a body."""
    return {"type": "http.request", "body": b"", "more_body": False}
