"""Pages over HTTP, from this process, and into files."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
import threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn
from typing import Any, Optional, Tuple
from urllib.parse import urlparse
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ._page import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    Registry,
    answer,
    choose_encoder,
    generate_latest,
    make_asgi_app,
    make_wsgi_app,
    negotiated,
)
from .registry import REGISTRY

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "MetricsHandler",
    "choose_encoder",
    "generate_latest",
    "make_asgi_app",
    "make_wsgi_app",
    "negotiated",
    "start_http_server",
    "start_wsgi_server",
    "write_to_textfile",
]


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class ThreadingWSGIServer(ThreadingMixIn, WSGIServer):
    """A thread for each request."""

    daemon_threads = True


def start_wsgi_server(
    port: int,
    addr: str = "0.0.0.0",
    registry: Registry = REGISTRY,
    certfile: Optional[str] = None,
    keyfile: Optional[str] = None,
    client_cafile: Optional[str] = None,
    client_capath: Optional[str] = None,
    protocol: int = ssl.PROTOCOL_TLS_SERVER,
    client_auth_required: bool = False,
    tls_min_version: Optional[ssl.TLSVersion] = None,
    tls_max_version: Optional[ssl.TLSVersion] = None,
) -> Tuple[WSGIServer, threading.Thread]:
    """Serves the page from a thread of this process. Returns the server and the thread."""
    infos = socket.getaddrinfo(addr, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = infos[0]
    server_class = type("Server", (ThreadingWSGIServer,), {"address_family": family})
    server: Any = make_server(str(address[0]), port, make_wsgi_app(registry), server_class, handler_class=_SilentHandler)
    if certfile and keyfile:
        context = ssl.SSLContext(protocol=protocol)
        if client_cafile is not None or client_capath is not None:
            context.load_verify_locations(client_cafile, client_capath)
        else:
            context.load_default_certs(purpose=ssl.Purpose.CLIENT_AUTH)
        if client_auth_required:
            context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certfile=certfile, keyfile=keyfile)
        if tls_min_version is not None:
            context.minimum_version = tls_min_version
        if tls_max_version is not None:
            context.maximum_version = tls_max_version
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, name="shmetrics", daemon=True)
    thread.start()
    return server, thread


start_http_server = start_wsgi_server


class MetricsHandler(BaseHTTPRequestHandler):
    """A handler for Python's own HTTP servers."""

    registry: Registry = REGISTRY

    def do_GET(self) -> None:
        headers, page = answer(
            self.registry,
            self.headers.get("Accept", ""),
            self.headers.get("Accept-Encoding", ""),
            urlparse(self.path).query,
            False,
        )
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing."""

    @classmethod
    def factory(cls, registry: Registry) -> type:
        """A handler for this registry."""
        return type(cls.__name__, (cls, object), {"registry": registry})


def write_to_textfile(path: str, registry: Registry = REGISTRY, escaping: str = "underscores", tmpdir: Optional[str] = None) -> None:
    """Writes the page into a file, which is replaced at once, for node_exporter's textfile collector."""
    directory = tmpdir if tmpdir is not None else os.path.dirname(path) or "."
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=os.path.basename(path) + ".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(generate_latest(registry, escaping))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.remove(temporary)
        raise
