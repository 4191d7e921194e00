"""Pages of text 0.0.4 against a model, in order, and by checkers of the text alone. formats.py has every type in every format.

PAGES (200) is the number of random registries, SEED (0) the first one's.
"""

from __future__ import annotations

import math
import os
import unittest

import page_test
from broken_pages import BROKEN, GOOD
from daemons import Pushgateway
from harness import main, needs
from model import Family, Process, Registry
from page_test import PageTest, verdicts
from play import Script, play
from registries import random_script
from shm import GAUGE_MODES

PAGES, SEED = int(os.environ.get("PAGES", "200")), int(os.environ.get("SEED", "0"))


def setUpModule() -> None:  # noqa: N802 - unittest's name
    page_test.start_pushgateway()


class Bounds(PageTest):
    def test_bounds_are_written_as_by_others(self) -> None:
        bounds = (-2.5, -0.5, 0.0, 1e-300, 1e-5, 0.0001, 0.1, 1 / 3, 1.0, 10.0, 99999.0, 1e5, 123456.0, 1e6, 1.5e6, 1e16, 1e300)
        script = Script([Family("histogram", "a", "A.", buckets=bounds)])
        for value in (-2.5, -0.5, 1.0, 10.0, 1e5, math.inf, -math.inf):
            script.update(0, 0, (), "observe", value)
        self.check(script)


class Numbers(PageTest):
    def test_counters_are_exact_beyond_2_53(self) -> None:
        script = Script([Family("counter", "a", "A.", ("x",))])
        for start in (1 << 53, (1 << 54) - 1):
            script.update(0, 0, (str(start),), "add_u64", start)
            script.update(0, 0, (str(start),), "inc")
            script.update(0, 0, (str(start),), "add_u64", 1 << 53)
            script.update(0, 0, (str(start),), "inc")
        page = self.check(script).page.decode()
        self.assertIn(f'a_total{{x="{1 << 53}"}} {(1 << 54) + 2}\n', page)
        self.assertIn(f'a_total{{x="{(1 << 54) - 1}"}} {(1 << 54) + (1 << 53) + 1}\n', page)

    def test_what_a_metric_cannot_take_is_left_out_and_counted(self) -> None:
        script = Script([Family("counter", "a", "A.", ("x",)), Family("histogram", "b", "B.")])
        for value in (-1.0, math.nan, math.inf, -math.inf, -5e-324):
            script.update(0, 0, ("v",), "add", value)
        script.update(0, 1, (), "observe", math.nan)
        script.update(0, 0, ("too", "many"), "inc")
        self.assertEqual(self.check(script).model.rejected, 7)


class Texts(PageTest):
    def test_what_is_no_utf8_is_mended(self) -> None:
        script = Script([Family("counter", "a", "A.", ("x",))])
        for i, value in enumerate((b"\xff", b"\xc3", b"a\xe2\x82b", b"\xed\xa0\x80", b"\xf0\x9f\xa6", b"\x80\x80ok")):
            script.update(0, 0, (b"%d" % i + value,), "inc")
            script.update(0, 0, (b"%d" % i + value,), "inc")
        self.assertIn("\ufffd", self.check(script).page.decode())


class Processes(PageTest):
    def test_every_gauge_mode(self) -> None:
        script = Script([Family("gauge", f"in_{mode}_mode", "One mode.", ("x",), mode=mode) for mode in GAUGE_MODES])
        for identity in (0, 3, 2, 4):
            script.start(identity)
        for i in range(len(GAUGE_MODES)):
            for process, value in ((2, 4.0), (0, 1.5), (4, 8.0), (1, -2.0), (3, 3.25)):
                script.update(process, i, ("several",), "set", value)
            script.update(4, i, ("of one that dies",), "set", 9.0)
            script.look_up(i, "of nobody")
            script.update(2, i, ("several",), "add", 0.5)
        self.check(script)
        script.end(4, "kill")
        self.check(script)
        script.end(1, "exit")
        script.end(2, "kill")
        self.check(script)

    def test_the_slots_of_the_dead_are_used_again(self) -> None:
        # a dead process' own sample goes with its slot
        modes = [mode for mode in GAUGE_MODES if mode != "all"]
        script = Script([Family("gauge", f"in_{mode}_mode", "One mode.", mode=mode) for mode in modes])
        for process, value in enumerate((5.0, -3.0, 0.5, 7.0, 2.0), start=1):
            script.start(20 + process)
            for i in range(len(modes)):
                script.update(process, i, (), "set", value)
                script.update(process, i, (), "inc")
            self.check(script)
            script.end(process, "kill")
            self.check(script)


class Large(PageTest):
    def test_a_large_page(self) -> None:
        script = Script([Family("counter", "a", "A.", ("x",)), Family("histogram", "b", "B.", ("x",))])
        for i in range(3000):
            script.update(0, 0, (f"/page/{i}",), "add_u64", i)
            script.update(0, 1, (f"/page/{i}",), "observe", i / 64)
        self.check(script)


class Random(PageTest):
    def test_random_registries(self) -> None:
        for seed in range(SEED, SEED + PAGES):
            with self.subTest(seed=seed):
                self.check(random_script(seed))


class Calibration(unittest.TestCase):
    """The checkers let the good page pass, and each wrong one is rejected by the checkers that must."""

    def setUp(self) -> None:
        families = [
            Family("counter", "requests_total", "Requests served.", ("path",)),
            Family("gauge", "depth", "Jobs waiting."),
            Family("histogram", "latency_seconds", "Time taken.", buckets=(0.5, 1.0)),
        ]
        self.model = Registry(families, [Process(1)])
        self.model.update(0, 0, ("/",), "add", 3)
        self.model.update(0, 0, ("/a b",), "add", 4)
        self.model.update(0, 1, (), "set", 2.5)
        for value in (0.25, 1.0, 3.0):
            self.model.update(0, 2, (), "observe", value)
        script = Script([])
        self.own = play(script).page.decode().replace("shmetrics_series 0\n", "shmetrics_series 4\n")

    def page(self, text: str) -> bytes:
        return (self.own + text).encode()

    def test_the_good_page_passes(self) -> None:
        for checker, problems in verdicts(self.page(GOOD), self.model).items():
            self.assertEqual(problems, [], checker)

    def test_broken_pages_are_rejected(self) -> None:
        for what, (text, by) in BROKEN.items():
            said = verdicts(self.page(text), self.model)
            for checker in by & said.keys():
                with self.subTest(what, checker=checker):
                    self.assertTrue(said[checker], f"{checker} lets this pass:\n{text}")

    @needs("promtool")
    def test_promtool_was_there(self) -> None:
        self.assertIn("promtool", verdicts(self.page(GOOD), self.model))

    @needs(Pushgateway.program)
    def test_pushgateway_was_there(self) -> None:
        self.assertIn("Pushgateway", verdicts(self.page(GOOD), self.model))


if __name__ == "__main__":
    main()
