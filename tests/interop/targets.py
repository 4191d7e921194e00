"""Servers of HTTP on loopback ports. Targets serve pages: a segment's, each in the format that the scraper asks for, or given ones."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import shm


class Server:
    """Answers requests for as long as a `with` lasts."""

    def __init__(self) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                kind, answer = server.request(self.path, self.headers, body)
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # of a client that ends
                    self.wfile.write(answer)

            do_GET = do_POST = do_PUT = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever)

    def request(self, path: str, headers: Message, body: bytes) -> tuple[str, bytes]:
        """The content type, and the answer."""
        raise NotImplementedError

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


class Target(Server):
    def __init__(self) -> None:
        super().__init__()
        self.answered: dict[str, Counter[str]] = {}  # content types by path
        self.asked: dict[str, str] = {}  # the last Accept header by path

    def request(self, path: str, headers: Message, body: bytes) -> tuple[str, bytes]:
        accept = headers.get("Accept", "")
        kind, page = self.answer(path, accept)
        self.asked[path] = accept
        self.answered.setdefault(path, Counter())[kind] += 1
        return kind, page

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        """The content type, and the page."""
        raise NotImplementedError


class NegotiatingTarget(Target):
    """Paths that end in /created have starts in OpenMetrics."""

    def __init__(self, source: shm.Pages) -> None:
        super().__init__()
        self._source = source

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        how = shm.negotiate(accept)
        how.created = path.endswith("/created")
        return how.content_type, self._source.page(how)


class StaticTarget(Target):
    def __init__(self, pages: dict[str, tuple[str, bytes]]) -> None:
        super().__init__()
        self._pages = pages

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        return self._pages[path]
