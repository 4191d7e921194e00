"""Pages over HTTP, from this process, and in files."""

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
    page_response,
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


#: How many seconds a client has for the TLS handshake and the request, and for everything.
_REQUEST_SECONDS, _TOTAL_SECONDS = 10.0, 60.0
#: How many clients are served at a time. A further client replaces one of them.
_MAX_CLIENTS = 64
#: How many seconds a further client waits for threads that are about to end.
_QUEUE_SECONDS = 5.0


class _Client:
    """A connected client, until its thread ends."""

    __slots__ = ("connection", "since", "has_request", "is_over")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.since = time.monotonic()
        self.has_request = False
        self.is_over = False

    def end(self) -> None:
        """Closes the connection, which ends the client's thread."""
        self.is_over = True
        try:
            # Not the method of the TLS socket: after that, the thread would send in plain text.
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)
        except OSError:
            pass  # closed, or about to be a TLS socket: see service_actions


class _Writer(io.BufferedIOBase):
    """A client that has gone is not an error of the application, and is not shown."""

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
    """One request. The server closes the connection."""

    def setup(self) -> None:
        super().setup()
        self.wfile = _Writer(self.connection)

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        if parsed:
            self.server.has_request(self.connection)  # type: ignore[attr-defined]
        return parsed

    def log_message(self, format: str, *args: Any) -> None:
        pass


class ThreadingWSGIServer(ThreadingMixIn, WSGIServer):
    """A thread for each request. Silent clients, slow clients and many clients do not keep another
    one out.
    """

    daemon_threads = True
    request_queue_size = 128
    #: Set if the server speaks TLS.
    context: Optional[ssl.SSLContext] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._clients: "Dict[int, _Client]" = {}
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)
        # As HTTPServer does, without the look-up of the host's name, which may take long.
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
        for client in self._connected():
            if client.is_over or now - client.since > (_TOTAL_SECONDS if client.has_request else _REQUEST_SECONDS):
                client.end()

    def process_request(self, request: Any, client_address: Any) -> None:
        # There may be twice as many threads, half of which are about to end. More clients wait in
        # the system's queue.
        until = time.monotonic() + _QUEUE_SECONDS
        while len(self._clients) >= 2 * _MAX_CLIENTS:
            if time.monotonic() > until:
                self.shutdown_request(request)
                return
            time.sleep(0.005)
        served = [client for client in self._connected() if not client.is_over]
        if len(served) >= _MAX_CLIENTS:
            # A scraper sends its request at once, and reads the response. So a client without a
            # request goes first, and then the oldest.
            min(served, key=lambda client: (client.has_request, client.since)).end()
        self._clients[id(request)] = _Client(request)
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread to be had
            self._clients.pop(id(request), None)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        client = self._clients[id(request)]
        try:
            # Each wait has a limit as well, as the server may be stopped.
            request.settimeout(_TOTAL_SECONDS)
            if self.context is not None:
                tls = self.context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                client.connection = tls
                tls.do_handshake()
            self.finish_request(client.connection, client_address)
        except Exception:
            self.handle_error(client.connection, client_address)
        finally:
            self._clients.pop(id(request), None)
            self.shutdown_request(client.connection)

    def has_request(self, connection: socket.socket) -> None:
        for client in self._connected():
            if client.connection is connection:
                client.has_request = True

    def _connected(self) -> "List[_Client]":
        return list(self._clients.copy().values())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints nothing. An error of the page is in the response; all other errors are clients'.
        """


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
        headers, page = page_response(
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
    """Writes the page into a file for node_exporter's textfile collector. The file is replaced
    atomically.
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
