"""Pages over HTTP: a segment's, each in the format that the scraper asks for, by a few lines around the C ABI; or given ones."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import shm


class Target:
    def __init__(self) -> None:
        self.answered: dict[str, Counter[str]] = {}  # content types by path
        self.asked: dict[str, str] = {}  # the last Accept header by path
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - http.server's name
                accept = self.headers.get("Accept", "")
                kind, page = target.answer(self.path, accept)
                target.asked[self.path] = accept
                target.answered.setdefault(self.path, Counter())[kind] += 1
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                with contextlib.suppress(BrokenPipeError):  # of a server that ends
                    self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        """The content type, and the page."""
        raise NotImplementedError

    def __enter__(self) -> Target:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


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
