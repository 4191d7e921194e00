"""Pages as bytes, and as WSGI and ASGI applications.

All modules that rendering needs are imported here: the child of a fork during another thread's
import would wait for that import forever.
"""

from __future__ import annotations

import functools
import gzip
import sys
from typing import Any, Awaitable, Callable, Dict, Iterable, List, Optional, Tuple, Union
from urllib.parse import parse_qs

from . import _created, _encode, _functions
from ._native import Exposition
from .registry import REGISTRY, Collector, CollectorRegistry, RestrictedRegistry

CONTENT_TYPE_PLAIN_0_0_4 = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_PLAIN_1_0_0 = "text/plain; version=1.0.0; charset=utf-8"
CONTENT_TYPE_LATEST = CONTENT_TYPE_PLAIN_1_0_0

#: Under an event loop, larger pages are compressed in a thread.
IN_A_THREAD = 1 << 16
#: What can be rendered: registries of this package or of prometheus_client, and collectors.
Registry = Union[CollectorRegistry, RestrictedRegistry, Collector]


def _sources(registry: Any) -> "Tuple[Any, Any, Optional[set[str]]]":
    """The segment of a registry, the families of its collectors, and the names that it is
    restricted to.
    """
    names: "Optional[set[str]]" = None
    if isinstance(registry, RestrictedRegistry):
        registry, names = registry.registry, registry.names
    if isinstance(registry, CollectorRegistry):
        return registry.segment, registry.collect_others(), names
    return None, registry.collect(), names


def generate_latest(registry: Registry = REGISTRY, escaping: str = "underscores", *, openmetrics: bool = False) -> bytes:
    """The page in Prometheus' text format, as prometheus_client writes it."""
    _functions.refresh()
    segment, others, names = _sources(registry)
    page = b"# EOF\n" if openmetrics else b""
    if segment is not None:
        page = segment.render_compat(
            openmetrics, names=None if names is None else sorted(names), escaping=escaping, created=_created.is_wanted()
        )
    return _join(page, _encode.text(others, openmetrics, escaping, names), openmetrics)


def _join(page: bytes, others: bytes, openmetrics: bool) -> bytes:
    """Families of collectors come after those of the segment."""
    if others and openmetrics:
        return page[: -len(b"# EOF\n")] + others + b"# EOF\n"
    return page + others


def render(exposition: Exposition, registry: Registry, names: "Optional[Iterable[str]]" = None) -> bytes:
    """The page in this format."""
    _functions.refresh()
    segment, others, restricted = _sources(registry)
    wanted = set(names) if names is not None else restricted
    openmetrics = exposition.format == "openmetrics"
    page = b"# EOF\n" if openmetrics else b""
    if segment is not None:
        page = segment.render(exposition, names=None if wanted is None else sorted(wanted))
    if exposition.format == "protobuf":
        return page + _encode.protobuf(others, exposition.escaping, wanted)
    version = 2 if exposition.version == "2.0.0" else 1
    return _join(page, _encode.text(others, openmetrics, exposition.escaping, wanted, version), openmetrics)


def render_for(accept: Optional[str], registry: Registry = REGISTRY, names: "Optional[Iterable[str]]" = None) -> Tuple[bytes, str]:
    """The page for a request with this ``Accept`` header, and its ``Content-Type``."""
    exposition = Exposition(accept or "", created=_created.is_wanted())
    return render(exposition, registry, names), exposition.content_type


def choose_encoder(accept_header: Optional[str]) -> Tuple[Callable[[Registry], bytes], str]:
    """A function that renders a registry for this ``Accept`` header, and the ``Content-Type``."""
    exposition = Exposition(accept_header or "", created=_created.is_wanted())
    return functools.partial(render, exposition), exposition.content_type


def page_response(
    registry: Registry, accept: str, accept_encoding: str, query: str, disable_compression: bool
) -> "Tuple[List[Tuple[str, str]], bytes]":
    names = parse_qs(query).get("name[]")
    page, content_type = render_for(accept, registry, names)
    headers = [("Content-Type", content_type), ("Vary", "Accept, Accept-Encoding")]
    if not disable_compression and Exposition.accepts_gzip(accept_encoding):
        page = _gzip(page)
        headers.append(("Content-Encoding", "gzip"))
    return headers, page


def respond(
    registry: Registry, method: str, accept: str, accept_encoding: str, query: str, disable_compression: bool = False
) -> "Tuple[int, List[Tuple[str, str]], bytes]":
    """Status, headers and body of the response to a request for a page."""
    if method == "OPTIONS":
        return 200, [("Allow", "OPTIONS,GET")], b""
    if method not in ("GET", "HEAD"):
        return 405, [("Allow", "OPTIONS,GET")], b"# HTTP 405 Method Not Allowed: use OPTIONS or GET\n"
    headers, body = page_response(registry, accept, accept_encoding, query, disable_compression)
    return 200, headers, body


async def respond_async(
    registry: Registry, method: str, accept: str, accept_encoding: str, query: str, disable_compression: bool = False
) -> "Tuple[int, List[Tuple[str, str]], bytes]":
    """As ``respond``. A large page is compressed in a thread, so that other requests of the loop do
    not wait.
    """
    status, headers, body = respond(registry, method, accept, accept_encoding, query, True)
    if not disable_compression and status == 200 and body and Exposition.accepts_gzip(accept_encoding):
        asyncio = sys.modules.get("asyncio")
        loop = asyncio._get_running_loop() if asyncio is not None and len(body) > IN_A_THREAD else None
        body = await loop.run_in_executor(None, _gzip, body) if loop is not None else _gzip(body)
        headers.append(("Content-Encoding", "gzip"))
    return status, headers, body


def _gzip(page: bytes) -> bytes:
    return gzip.compress(page, compresslevel=6)


def make_wsgi_app(registry: Registry = REGISTRY, disable_compression: bool = False) -> Callable[..., "Iterable[bytes]"]:
    """A WSGI application that serves the page, at any path."""

    def metrics_app(environ: "Dict[str, Any]", start_response: Callable[..., Any]) -> "Iterable[bytes]":
        method = environ.get("REQUEST_METHOD", "GET")
        if environ.get("PATH_INFO") == "/favicon.ico" and method in ("GET", "HEAD"):
            start_response("200 OK", [])
            return [b""]
        status, headers, page = respond(
            registry,
            method,
            environ.get("HTTP_ACCEPT", ""),
            environ.get("HTTP_ACCEPT_ENCODING", ""),
            environ.get("QUERY_STRING", ""),
            disable_compression,
        )
        if method in ("GET", "HEAD"):
            headers.append(("Content-Length", str(len(page))))
        start_response("200 OK" if status == 200 else "405 Method Not Allowed", headers)
        return [b"" if method == "HEAD" else page]

    return metrics_app


Send = Callable[["Dict[str, Any]"], Awaitable[None]]


def make_asgi_app(registry: Registry = REGISTRY, disable_compression: bool = False) -> Callable[..., Awaitable[None]]:
    """An ASGI application that serves the page, at any path."""

    async def metrics_app(scope: "Dict[str, Any]", receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        if scope.get("type") == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope.get("type") != "http":
            raise ValueError("metrics are served over HTTP only")
        method = scope.get("method", "GET")
        of = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope.get("headers", ())]
        status, headers, page = await respond_async(
            registry,
            method,
            ",".join(value for name, value in of if name == "accept"),
            ",".join(value for name, value in of if name == "accept-encoding"),
            scope.get("query_string", b"").decode("latin-1"),
            disable_compression,
        )
        if method in ("GET", "HEAD"):
            headers.append(("Content-Length", str(len(page))))
        encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else page})

    return metrics_app
