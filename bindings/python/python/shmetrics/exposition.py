"""Pages over HTTP, from this process, and into files."""

from __future__ import annotations

import io
import os
import socket
import ssl
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import urlparse
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ._gateway import (
    CompressionType,
    basic_auth_handler,
    default_handler,
    delete_from_gateway,
    instance_ip_grouping_key,
    passthrough_redirect_handler,
    push_to_gateway,
    pushadd_to_gateway,
    tls_auth_handler,
)
from ._native import Exposition
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
    render_for,
)
from .registry import REGISTRY

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "CompressionType",
    "MetricsHandler",
    "basic_auth_handler",
    "choose_encoder",
    "default_handler",
    "delete_from_gateway",
    "generate_latest",
    "gzip_accepted",
    "instance_ip_grouping_key",
    "make_asgi_app",
    "make_wsgi_app",
    "render_for",
    "passthrough_redirect_handler",
    "push_to_gateway",
    "pushadd_to_gateway",
    "start_http_server",
    "start_wsgi_server",
    "tls_auth_handler",
    "write_to_textfile",
]


def gzip_accepted(accept_encoding_header: str) -> bool:
    """Whether to compress the answer to a request with this ``Accept-Encoding`` header."""
    return Exposition.accepts_gzip(accept_encoding_header or "")



#: How long a client may take for the TLS handshake and its request, and for all of it with the
#: answer.
_REQUEST_SECONDS, _SECONDS = 10.0, 60.0
#: How many clients are served at a time. One more takes the place of another one.
_PLACES = 64
#: How long one more waits for the threads of those that have lost their places.
_PATIENCE = 5.0


class _Place:
    """A client that is connected, until its thread ends."""

    __slots__ = ("connection", "since", "has_asked", "is_over")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.since = time.monotonic()
        self.has_asked = False
        self.is_over = False

    def end(self) -> None:
        """Its thread finds the connection closed."""
        self.is_over = True
        try:
            # Not the TLS socket's own, after which its thread would send in plain.
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)
        except OSError:
            pass  # closed, or about to be a TLS socket: see service_actions


class _Writer(io.BufferedIOBase):
    """A client that has gone is no error of the application's, and not shown."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise ConnectionAbortedError(str(error)) from None
        return len(data)


class _Handler(WSGIRequestHandler):
    """One request. The server sees to its end."""

    def setup(self) -> None:
        super().setup()
        self.wfile = _Writer(self.connection)

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        if parsed:
            self.server.has_asked(self.connection)  # type: ignore[attr-defined]
        return parsed

    def log_message(self, format: str, *args: Any) -> None:
        pass


class ThreadingWSGIServer(ThreadingMixIn, WSGIServer):
    """A thread for each request. Neither silent, nor slow, nor many clients keep out another one."""

    daemon_threads = True
    request_queue_size = 128
    #: Set where it speaks TLS.
    context: Optional[ssl.SSLContext] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._places: "Dict[int, _Place]" = {}
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)
        # As HTTPServer, without asking a name server, which can take long.
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def get_request(self) -> "Tuple[socket.socket, Any]":
        try:
            return self.socket.accept()
        except OSError:
            time.sleep(0.1)  # without a descriptor to be had, the client stays there
            raise

    def service_actions(self) -> None:
        now = time.monotonic()
        for place in self._now():
            if place.is_over or now - place.since > (_SECONDS if place.has_asked else _REQUEST_SECONDS):
                place.end()

    def process_request(self, request: Any, client_address: Any) -> None:
        # Twice as many threads, of which half are about to end. More clients wait in the system's
        # queue.
        patience = time.monotonic() + _PATIENCE
        while len(self._places) >= 2 * _PLACES:
            if time.monotonic() > patience:
                self.shutdown_request(request)
                return
            time.sleep(0.005)
        served = [place for place in self._now() if not place.is_over]
        if len(served) >= _PLACES:
            # A scraper asks at once and reads what it has asked for. The place is that of a client
            # that has not, or of the oldest.
            min(served, key=lambda place: (place.has_asked, place.since)).end()
        self._places[id(request)] = _Place(request)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had
            self._places.pop(id(request), None)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        place = self._places[id(request)]
        try:
            # Each wait has an end of its own too, for when the server is stopped.
            request.settimeout(_SECONDS)
            if self.context is not None:
                tls = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                place.connection = tls
                tls.do_handshake()
            self.finish_request(place.connection, client_address)
        except Exception:
            self.handle_error(place.connection, client_address)
        finally:
            self._places.pop(id(request), None)
            self.shutdown_request(place.connection)

    def has_asked(self, connection: socket.socket) -> None:
        for place in self._now():
            if place.connection is connection:
                place.has_asked = True

    def _now(self) -> "List[_Place]":
        return list(self._places.copy().values())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: what is wrong with the page is said by its request; the rest are clients."""


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
    """Serves the page from a thread of this process. Returns the server and the thread.

    With ``client_auth_required`` and neither ``client_cafile`` nor ``client_capath``, certificates
    of all authorities that this system trusts are accepted, as by prometheus_client: name the
    authority that signs your scrapers' certificates.
    """
    context = None
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
    infos = socket.getaddrinfo(addr, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = infos[0]
    server_class = type("Server", (ThreadingWSGIServer,), {"address_family": family, "context": context})
    server: Any = make_server(str(address[0]), port, make_wsgi_app(registry), server_class, handler_class=_Handler)
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


def write_to_textfile(path: str, registry: Registry = REGISTRY, escaping: str = "allow-utf-8", tmpdir: Optional[str] = None) -> None:
    """Writes the page into a file, which is replaced at once, for node_exporter's textfile
    collector.
    """
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
