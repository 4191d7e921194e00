"""A server sends the same bytes with a middleware as without, and the middleware counts the
responses that were sent.
"""

from __future__ import annotations

import re
import socket
import sys
from collections import Counter
from pathlib import Path

import pytest
from support import BIN, WATCHDOG_SECONDS, clean_environment, free_port, get, samples, started, wait_until

HERE = Path(__file__).parent
BIND = "127.0.0.1:PORT"


def here(server: str) -> list[str]:
    return [sys.executable, str(HERE / "bytes_app.py"), server, "PORT"]


def gunicorn(*flags: str) -> list[str]:
    return [str(BIN / "gunicorn"), "--bind", BIND, "--pythonpath", str(HERE), "--log-level", "critical", *flags, "bytes_wsgi:app"]


WSGI = {
    "wsgiref": here("wsgiref"),
    "waitress": here("waitress"),
    "cheroot": here("cheroot"),
    "gevent": here("gevent"),
    "gunicorn sync": gunicorn(),
    "gunicorn gthread": gunicorn("-k", "gthread", "--threads", "2"),
    "gunicorn gevent": gunicorn("-k", "gevent"),
    "uWSGI": [
        *(str(BIN / "uwsgi"), "--master", "--pythonpath", str(HERE), "--home", sys.prefix, "--need-app", "--die-on-term"),
        *("--disable-logging", "--http-socket", BIND, "--module", "bytes_wsgi:app"),
    ],
    "granian WSGI": [str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", "PORT", "--no-log", "bytes_wsgi:app"],
}
ASGI = {
    "uvicorn": [str(BIN / "uvicorn"), "--app-dir", str(HERE), "--host", "127.0.0.1", "--port", "PORT", "--log-level", "critical", "bytes_asgi:app"],
    "hypercorn": [str(BIN / "hypercorn"), "--bind", BIND, "--log-level", "critical", "bytes_asgi:app"],
    "granian": [str(BIN / "granian"), "--interface", "asgi", "--host", "127.0.0.1", "--port", "PORT", "--no-log", "bytes_asgi:app"],
    "daphne": [str(BIN / "daphne"), "-b", "127.0.0.1", "-p", "PORT", "-v", "0", "bytes_asgi:app"],
}
AIOHTTP = {"aiohttp": here("aiohttp")}

RAW = ["one", "tuple", "empty", "length", "204", "304", "stream", "lazy", "write", "twice", "file", "file-like", "closes", "sized", "none"]
FRAMEWORK = ["hello", "file", "stream", "fails", "a/b"]
WSGI_REQUESTS = [("GET", f"/raw/{path}") for path in [*RAW, "fails", "fails-in-a-stream"]]
WSGI_REQUESTS += [("HEAD", f"/raw/{path}") for path in ("one", "stream", "file", "closes")] + [("POST", "/raw/echo"), ("MKCOL", "/raw/one")]
WSGI_REQUESTS += [(method, f"/{app}/{path}") for app in ("flask", "django") for path in FRAMEWORK for method in ("GET", "HEAD")]
RAW_ASGI = ["one", "no-length", "204", "stream", "background", "none", "fails", "fails-in-a-stream", "nothing"]
ASGI_REQUESTS = [("GET", f"/raw/{path}") for path in RAW_ASGI] + [("HEAD", "/raw/one"), ("HEAD", "/raw/stream"), ("POST", "/raw/echo")]
ASGI_REQUESTS += [
    (method, f"/{app}/{path}") for app in ("fastapi", "django") for path in [*FRAMEWORK, "background"] for method in ("GET", "HEAD")
]
AIOHTTP_REQUESTS = [(method, f"/aiohttp/{path}") for path in [*FRAMEWORK, "denied", "none/none"] for method in ("GET", "HEAD")]
AIOHTTP_REQUESTS += [("POST", "/aiohttp/echo"), ("PUT", "/aiohttp/echo")]
# What a server cannot do, with or without a middleware.
NOT_THERE = {
    # It waits for an answer for ever.
    "daphne": ["/raw/fails-in-a-stream", "/raw/nothing"],
    # It takes the status before it asks for the first piece.
    "granian WSGI": ["/raw/lazy", "/raw/fails-in-a-stream"],
    # Its start_response fails with exc_info, and it sends the second status all the same.
    "uWSGI": ["/raw/twice"],
}


def cases() -> list:
    found = []
    for servers, requests in ((WSGI, WSGI_REQUESTS), (ASGI, ASGI_REQUESTS), (AIOHTTP, AIOHTTP_REQUESTS)):
        for name, command in servers.items():
            missing = not Path(command[0]).exists()
            marks = [pytest.mark.skipif(missing, reason=f"{name} is not installed")]
            found.append(pytest.param(name, command, requests, id=name, marks=marks))
    return found


class Connection:
    """HTTP by hand, so that nothing is put right on the way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def ask(self, method: str, path: str, version: str, keep: bool) -> tuple[bytes, bool]:
        """All bytes of the response, and whether it came over the connection of the previous one.
        """
        head = [f"{method} {path} HTTP/{version}", "Host: localhost", "Accept: */*"]
        body = b"sent by the client" if method == "POST" else b""
        if body:
            head.append(f"Content-Length: {len(body)}")
        if not keep:
            head.append("Connection: close")
        request = "\r\n".join([*head, "", ""]).encode() + body
        answer, reused = b"", False
        if self._socket is not None:
            answer, reused = self._once(request, method, keep), True
        if not answer:
            self.close()
            answer, reused = self._once(request, method, keep), False
        if not keep or answer.startswith(b"HTTP/1.0") or re.search(rb"(?i)\r\nconnection: *close", answer.partition(b"\r\n\r\n")[0]):
            self.close()
        return answer, reused

    def _once(self, request: bytes, method: str, keep: bool) -> bytes:
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=WATCHDOG_SECONDS)
            self._socket.sendall(request)
            return self._read(method, keep)
        except ConnectionError:
            return b""

    def _read(self, method: str, keep: bool) -> bytes:
        assert self._socket is not None
        found = b""
        while not keep or not _is_whole(found, method):
            try:
                more = self._socket.recv(1 << 20)
            except ConnectionResetError:
                more = b""
            if not more:
                self.close()
                break
            found += more
        return found


def _is_whole(answer: bytes, method: str) -> bool:
    head, gap, body = answer.partition(b"\r\n\r\n")
    if not gap:
        return False
    if head.split(b" ")[1] in (b"204", b"304"):
        return True
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if length:
        return len(body) >= int(length[1])
    return bool(re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head)) and body.endswith(b"0\r\n\r\n")


def _alike(answer: bytes) -> bytes:
    """Without the time, and without the prefix, which frameworks may name in an error."""
    answer = re.sub(rb"(?im)^(date|expires|last-modified): [^\r]*", rb"\1: -", answer)
    return answer.replace(b"/with/", b"/plain/")


@pytest.mark.parametrize("name, command, requests", cases())
def test_bytes(name, command, requests, shm, tmp_path):
    port = free_port()
    command = [part.replace("PORT", str(port)) for part in command]
    with started(command, clean_environment(shm, TMPDIR=str(tmp_path)), tmp_path / "log", HERE) as process:
        wait_until(lambda: process.poll() is not None or get(port, "/page")[0] == 200, f"{name} does not start")
        assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
        different, sent = [], Counter()
        for version, keep in (("1.1", False), ("1.1", True), ("1.0", False)):
            plain, other = Connection(port), Connection(port)
            for method, path in requests:
                if path in NOT_THERE.get(name, ()) or (keep and method == "HEAD"):
                    # of HEAD it is the end of the connection that tells whether there is a body
                    continue
                wanted = plain.ask(method, "/plain" + path, version, keep)
                found = other.ask(method, "/with" + path, version, keep)
                if (_alike(wanted[0]), wanted[1]) != (_alike(found[0]), found[1]):
                    different.append((version, keep, method, path, wanted[0][:300], wanted[1], found[0][:300], found[1]))
                # uWSGI closes the connection where the application fails.
                sent[path.split("/")[1], found[0].split(b" ", 2)[1].decode() if found[0] else "500"] += 1
            plain.close()
            other.close()
        assert different == []
        app = {"/raw/one": "raw", "/aiohttp/hello": "aiohttp"}[requests[0][1]] if requests is not ASGI_REQUESTS else "fastapi"
        _go_away(port, f"/with/{app}/endless")
        sent[app, "200"] += 1
        page = wait_until(lambda: _at_rest(port), "nothing in progress")
        counted: Counter = Counter()
        for (metric, labels), value in page.items():
            if metric == "http_requests_total":
                counted[dict(labels)["app_name"], dict(labels)["http_status"]] += int(value)
        assert counted == sent
        timed = sum(value for (metric, _), value in page.items() if metric == "http_request_latency_seconds_count")
        assert timed == sum(counted.values())


def _go_away(port: int, path: str) -> None:
    """A client that reads the beginning of an answer without an end."""
    with socket.create_connection(("127.0.0.1", port), timeout=WATCHDOG_SECONDS) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert client.recv(1000).split(b" ")[1] == b"200"


def _at_rest(port: int):
    status, body, headers = get(port, "/page")
    assert status == 200
    if "X-Closed" in headers:
        closed = dict(eval(headers["X-Closed"]))  # noqa: S307 - of our own program
        assert closed.get("/plain/raw") == closed.get("/with/raw"), "each body is closed as often"
    found = samples(body)
    at_rest = all(value == 0 for (metric, _), value in found.items() if metric == "http_requests_in_progress")
    return found if at_rest else None
