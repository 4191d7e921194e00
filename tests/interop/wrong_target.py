"""A target that does everything wrong that the scraping test looks for."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    """Its counter falls, its samples are late or change afterwards, and now and then its page is none."""

    scrapes = 0
    start = int(time.time() * 1000)

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        _Handler.scrapes += 1
        n = _Handler.scrapes
        page = f"# TYPE falling_total counter\nfalling_total {100 - n}\n"
        page += f"late 1 {self.start - 1000 * n}\nchanged {n} {self.start}\n"
        if n % 3 == 0:
            page = "no page\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *_: object) -> None:
        pass


class WrongTarget:
    def __enter__(self) -> WrongTarget:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.port = self._server.server_port
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @staticmethod
    def scrapes() -> int:
        return _Handler.scrapes
