"""A target that does everything wrong that the scraping test looks for."""

from __future__ import annotations

import time

from targets import Target


class WrongTarget(Target):
    """Its counter falls, its samples are late or change afterwards, and now and then its page is none."""

    def __init__(self) -> None:
        super().__init__()
        self.scrapes = 0
        self._start = int(time.time() * 1000)

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        self.scrapes += 1
        n = self.scrapes
        page = f"# TYPE falling_total counter\nfalling_total {100 - n}\n"
        page += f"late 1 {self._start - 1000 * n}\nchanged {n} {self._start}\n"
        if n % 3 == 0:
            page = "no page\n"
        return "text/plain; version=0.0.4", page.encode()
