"""Forty requests that each framework's application here answers, and the labels that each must
have.

A program `app_FRAMEWORK.py` makes the application, sends the requests within its process, and
prints what the page says of each.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator

# Method, path, the template in neutral words, status. `None` where frameworks answer as they
# please.
REQUESTS: list[tuple[str, str, str | None, int | None]] = [
    ("GET", "/", "/", 200),
    ("HEAD", "/", "/", None),
    ("GET", "/?q=1", "/", 200),
    ("GET", "/items/1", "/items/{id}", 200),
    ("GET", "/items/0007", "/items/{id}", 200),
    ("HEAD", "/items/2", "/items/{id}", None),
    ("POST", "/items/1", "/items/{id}", 201),
    ("DELETE", "/items/1", "/items/{id}", 405),
    ("MKCOL", "/items/1", "/items/{id}", 405),
    ("PROPFIND", "/items/1", "/items/{id}", 405),
    ("GET", "/items/x", "unmatched", 404),
    ("GET", "/items", "unmatched", 404),
    ("GET", "/items/1/", "unmatched", None),
    ("GET", "/items/1/2/3", "unmatched", 404),
    # Values that are also words of the path.
    ("GET", "/users/users", "/users/{name}", 200),
    ("GET", "/users/u", "/users/{name}", 200),
    ("GET", "/users/%E2%82%AC", "/users/{name}", 200),
    ("GET", "/users/A1-B2", "/users/{name}", 200),
    # What is put together from parts, twice nested.
    ("GET", "/shop/", "/shop/", 200),
    ("GET", "/shop/carts/1", "/shop/carts/{id}", 200),
    ("GET", "/shop/carts/shop", "/shop/carts/{id}", 200),
    ("PATCH", "/shop/carts/1", "/shop/carts/{id}", 405),
    ("GET", "/shop/eu/orders/9", "/shop/eu/orders/{id}", 200),
    ("GET", "/shop/eu/orders/eu", "/shop/eu/orders/{id}", 200),
    ("GET", "/shop/none", "unmatched", 404),
    ("GET", "/shop/eu/none", "unmatched", 404),
    ("GET", "/shop/eu/orders/1/2", "unmatched", 404),
    # A class.
    ("GET", "/things/1", "/things/{id}", 200),
    ("PUT", "/things/1", "/things/{id}", 202),
    ("DELETE", "/things/1", "/things/{id}", 405),
    ("GET", "/any/a", "/any/{path}", 200),
    ("GET", "/any/a/b/c", "/any/{path}", 200),
    ("GET", "/teapot", "/teapot", 418),
    ("GET", "/denied", "/denied", 403),
    ("GET", "/lost", "/lost", 404),
    ("GET", "/fails", "/fails", 500),
    ("GET", "/stream", "/stream", 200),
    ("GET", "/none", "unmatched", 404),
    ("GET", "/metrics", None, 200),
    ("GET", "/health", None, 200),
]
assert len(REQUESTS) == 40
OPTIONS = {"labels": {"site": "test"}, "excluded_paths": ["/health"]}


def fresh_registry():
    import shmetrics

    return shmetrics.CollectorRegistry(segment=shmetrics.Segment(anonymous=True))


def counts(registry) -> dict[tuple[str, str, str], float]:
    for family in registry.collect():
        if family.name in ("http_requests", "http_requests_total"):
            return {
                (s.labels["method"], s.labels["endpoint"], s.labels["http_status"]): s.value
                for s in family.samples
                if s.name == "http_requests_total" and s.labels["site"] == "test"
            }
    return {}


def report(registry, send: Callable[[str, str], object]) -> None:
    """Prints what each request has added: its labels, and what went wrong."""
    warnings.simplefilter("ignore")
    print(json.dumps([_added(registry, lambda: send(method, path)) for method, path, *_ in REQUESTS]))


async def report_later(registry, send: Callable[[str, str], Awaitable[object]]) -> None:
    warnings.simplefilter("ignore")
    found = []
    for method, path, *_ in REQUESTS:
        before = counts(registry)
        await send(method, path)
        found.append(_difference(registry, before))
    print(json.dumps(found))


def _added(registry, send: Callable[[], object]) -> dict:
    before = counts(registry)
    send()
    return _difference(registry, before)


def _difference(registry, before: dict) -> dict:
    new = [key for key, value in counts(registry).items() for _ in range(int(value - before.get(key, 0)))]
    return {"counted": new, "in_progress": registry.get_sample_value("http_requests_in_progress", {"app_name": "forty", "site": "test"})}


def wsgi(app, method: str, path: str) -> int:
    """The status of an answer, which is read to its end."""
    path, _, query = path.partition("?")
    from urllib.parse import unquote_to_bytes

    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    started: list[str] = []
    body = app(environ, lambda status, headers, exc_info=None: started.append(status))
    for _ in body:
        pass
    if hasattr(body, "close"):
        body.close()
    return int(started[-1][:3])


async def asgi(app, method: str, path: str, root_path: str = "") -> int:
    from urllib.parse import unquote

    raw, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": root_path + unquote(raw),
        "raw_path": (root_path + raw).encode(),
        "root_path": root_path,
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])
    status: list[int] = []

    async def receive():
        for message in requests:
            return message
        await asyncio.sleep(3600)  # the client stays

    async def send(message):
        if message["type"] == "http.response.start":
            status.append(int(message["status"]))

    try:
        await app(scope, receive, send)
    except RuntimeError as error:
        if str(error) != "wanted":
            raise
    return status[-1]


def pieces() -> Iterator[bytes]:
    yield b"a"
    yield b"b"


def version(*packages: str) -> None:
    """The directory that was asked for is the one that is used."""
    import importlib

    for package in packages:
        module = importlib.import_module(package)
        wanted = sys.argv[1]
        assert wanted == "newest" or module.__file__.startswith(wanted), module.__file__
