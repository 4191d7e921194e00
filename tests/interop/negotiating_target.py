"""A segment's pages over HTTP, each scraper's in the format that it asks for, by a few lines around the C ABI."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import shm


class NegotiatingTarget:
    """Paths that end in /created have starts in OpenMetrics."""

    def __init__(self, source: shm.Pages) -> None:
        self.answered: dict[str, Counter[str]] = {}  # content types by path
        self.asked: dict[str, str] = {}  # the last Accept header by path
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802 - http.server's name
                accept = self.headers.get("Accept", "")
                how = shm.negotiate(accept)
                how.created = self.path.endswith("/created")
                page = source.page(how)
                target.asked[self.path] = accept
                target.answered.setdefault(self.path, Counter())[how.content_type] += 1
                self.send_response(200)
                self.send_header("Content-Type", how.content_type)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> NegotiatingTarget:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
