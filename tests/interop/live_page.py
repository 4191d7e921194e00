"""The page of `shmetrics serve` in a real browser: rates, keyboard, widths, light and dark, and texts that are no markup.

UPDATE_SCREENS=1 writes the pictures of docs/images.
"""

from __future__ import annotations

import os
import unittest

import shm
from browser import Page, chromium
from daemons import exporter
from harness import main, needs

EVIL = "<img src=x onerror=\"window.pwned=1\"></td></table><script>window.pwned=1</script>'\x1b[2J\u202e&amp;"
IMAGES = shm.ROOT / "docs/images"
REFRESHES = "Number(document.body.dataset.refreshes || 0)"
FAMILIES = "[...document.querySelectorAll('#families tbody tr')].map((row) => row.innerText)"
SERIES = "[...document.querySelectorAll('#series tbody tr')].map((row) => row.innerText)"
WARNINGS = "[...document.querySelectorAll('.warning')].map((one) => one.innerText)"


class Shop:
    """A segment with traffic."""

    def __init__(self) -> None:
        self.segment = shm.Segment("shop")
        register = self.segment.register
        self.requests = register("counter", "http_requests_total", "Requests answered.", ("route", "status"))
        self.latency = register(
            "histogram", "http_request_seconds", "Time to the end of the answer.", ("route",), factor=1.1
        )
        self.sent = register("counter", "http_sent_bytes_total", "Bytes of answers.").with_()
        self.busy = register("gauge", "http_in_progress", EVIL, mode="livesum").with_()
        register("counter", "jobs_total", "Jobs done.", ("kind",), max_series=4).with_(EVIL).update("inc")

    def work(self) -> None:
        for i, route in enumerate(("/", "/cart", "/pay", EVIL)):
            self.requests.with_(route, "200").update("add", 1000.0 / (i + 1))
            for n in range(50):
                self.latency.with_(route).update("observe", 0.001 * (n + 1) * (i + 1))
        self.sent.update("add", 2.5e6)
        self.busy.update("set", 3.0)


@needs("chromium")
class LivePage(unittest.TestCase):
    def setUp(self) -> None:
        self.shop = Shop()
        self.addCleanup(shm.remove, "shop")
        self.url = f"http://127.0.0.1:{self.enterContext(exporter('shop'))}/"

    def refresh(self, page: Page) -> None:
        """Two answers that were asked for while there was traffic."""
        before = page.eval(REFRESHES)

        def is_later(now: object) -> bool:
            self.shop.work()
            return now >= before + 2

        page.wait(REFRESHES, is_later)

    def row(self, page: Page, name: str) -> str:
        return next((row for row in page.eval(FAMILIES) if row.startswith(name)), "")

    def test_the_page(self) -> None:
        self.shop.work()
        with chromium() as page:
            page.show_as(1440, 900)
            page.open(self.url)
            page.wait(FAMILIES, lambda rows: len(rows) == 5)
            self.refresh(page)
            self.refresh(page)
            self.assertRegex(self.row(page, "http_requests_total"), r"\(4 series\)\s+[\d.]+ [kM]\s+[\d.]+ ?k?\s")
            self.assertRegex(self.row(page, "http_sent_bytes_total"), r"[MG]iB\s+[\d.]+ [KM]?i?B")
            self.assertRegex(self.row(page, "http_request_seconds"), r"ms\s+[\d.]+ ms")
            self.assertGreater(page.eval("document.querySelectorAll('#families svg polyline').length"), 4)
            segment = page.eval("document.querySelector('#segments tbody').innerText")
            self.assertRegex(segment, r"^shop\s+1\s+\d+\s+[\d.]+ % of [\d.]+ MiB\s+\d+ s ago")

            self.keyboard(page)
            self.texts(page)
            self.screens(page)
            self.trouble(page)
            self.assertEqual([c for c in page.complaints if "503" not in c], [], "the browser complains")

    def keyboard(self, page: Page) -> None:
        page.press("/")
        page.type("requests")
        page.wait(FAMILIES, lambda rows: len(rows) == 1)
        page.press("ArrowDown")
        page.press("Enter")
        page.wait(SERIES, lambda rows: len(rows) == 4)
        self.assertEqual(page.eval("document.activeElement.dataset.family"), "http_requests")
        page.eval("document.getElementById('filter').focus()")
        page.type("/CART")
        page.wait(SERIES, lambda rows: len(rows) == 1 and "/cart" in rows[0])
        page.press("Escape")
        page.wait(SERIES, lambda rows: len(rows) == 4)
        page.press("Escape")
        page.press("p")
        page.wait("document.getElementById('pause').getAttribute('aria-pressed')", lambda value: value == "true")
        page.press("p")
        page.press("/")
        page.press("Escape")
        page.wait(FAMILIES, lambda rows: len(rows) == 5)
        # Rows keep their places until the viewer sorts.
        page.press("Escape")
        page.eval("[...document.querySelectorAll('#families th button')][1].click()")
        values = page.eval(FAMILIES)
        self.assertTrue(values[0].startswith("http_sent_bytes_total"), values)
        self.refresh(page)
        self.assertEqual([row.split()[0] for row in page.eval(FAMILIES)], [row.split()[0] for row in values])

    def texts(self, page: Page) -> None:
        rows = page.wait(SERIES, lambda rows: len(rows) == 4 and any("onerror" in row for row in rows))
        self.assertTrue(any("</script>" in row and r"\u{202e}" in row for row in rows), rows)
        self.assertFalse(any(c in row for row in rows for c in "\x1b\u202e"), rows)
        self.assertEqual(page.eval("[window.pwned, document.images.length, document.scripts.length]"), [None, 0, 1])
        # Neither markup nor a script can be made of a text, not even by the page's own script.
        for attempt in ("document.body.innerHTML = '<b>'", "document.write('<b>')", "eval('1')"):
            self.assertRaises(AssertionError, page.eval, attempt)
        style = "(() => { const s = document.createElement('style'); s.textContent = 'body { margin: 77px }'; document.head.append(s); return getComputedStyle(document.body).marginTop; })()"
        self.assertNotEqual(page.eval(style), "77px")
        page.complaints.clear()  # of these attempts

    def screens(self, page: Page) -> None:
        grounds = set()
        page.eval("document.getElementById('filter').focus()")
        page.type('="/')
        page.wait(SERIES, lambda rows: len(rows) == 3)
        for width, is_dark in ((1440, False), (375, True), (1440, True), (375, False)):
            page.show_as(width, 1000 if width > 400 else 900, is_dark=is_dark)
            self.refresh(page)
            self.assertLessEqual(page.eval("document.documentElement.scrollWidth"), width)
            grounds.add((is_dark, page.eval("getComputedStyle(document.body).backgroundColor")))
            if os.environ.get("UPDATE_SCREENS") and (width > 400) != is_dark:
                IMAGES.mkdir(exist_ok=True)
                (IMAGES / f"serve-{width}.png").write_bytes(page.picture())
        self.assertEqual(len({ground for _, ground in grounds}), 2, grounds)

    def trouble(self, page: Page) -> None:
        for n in range(9):
            self.shop.segment.register("counter", "jobs_total", "Jobs done.", ("kind",), max_series=4).with_(
                str(n)
            ).update("inc")
        page.wait(WARNINGS, lambda texts: any(text.startswith("OVERFLOW: ") for text in texts))
        shm.remove("shop")
        texts = page.wait(WARNINGS, lambda texts: any("there is no segment at" in text for text in texts))
        self.assertIn("The values below are the last ones", texts[0])
        self.assertEqual(len(page.eval(FAMILIES)), 5, "the last values stay")
        self.shop.segment = shm.Segment("shop")
        self.shop.segment.register("counter", "late_total", "").with_().update("inc")
        page.wait(FAMILIES, lambda rows: any(row.startswith("late_total") for row in rows))


if __name__ == "__main__":
    main()
