"""Pages rendered while eight processes count at full speed and two of them are killed: each page must be right.

ROUNDS (300) is the number of pages.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import signal
import time
import unittest
from functools import partial

import oracles
import shm
from harness import main
from processes import child

ROUNDS = int(os.environ.get("ROUNDS", "300"))
WRITERS = 8
KILLED = 2
LABEL_SETS = 50  # of each writer; it makes them while pages are rendered
BOUNDS = (0.25, 1.0, 4.0)
# One value for each bucket, so that the buckets tell the sum.
OBSERVED = {"0.25": 0.125, "1.0": 0.5, "4.0": 2.0, "+Inf": 8.0}


class Ledger:
    """What each writer has begun and done, in memory that outlives it; and the word that ends them all."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 16 * (WRITERS + 1))
        self._words = (ctypes.c_uint64 * (2 * (WRITERS + 1))).from_buffer(self._memory)

    def begun(self, writer: int) -> int:
        return self._words[2 * writer]

    def done(self, writer: int) -> int:
        return self._words[2 * writer + 1]

    def note_begun(self, writer: int) -> None:
        self._words[2 * writer] += 1

    def note_done(self, writer: int) -> None:
        self._words[2 * writer + 1] += 1

    def stop(self) -> None:
        self._words[2 * WRITERS] = 1

    def is_over(self) -> bool:
        return self._words[2 * WRITERS] != 0


def write(segment: shm.Segment, writer: int, ledger: Ledger) -> None:
    """Each turn counts 1 in the counter of all and in one of its own, and observes once."""
    everyone = segment.register("counter", "turns").with_()
    own = segment.register("counter", "own_turns", labels=("writer", "number"))
    times = segment.register("histogram", "times", labels=("writer",), buckets=BOUNDS)
    mine, shared = times.with_(str(writer)), times.with_("all")
    in_turn = segment.register("gauge", "in_turn", mode="livesum").with_()
    observed = list(OBSERVED.values())
    turn = 0
    while not ledger.is_over():
        ledger.note_begun(writer)
        in_turn.update("inc")
        everyone.update("inc")
        own.with_(str(writer), str(turn // 500 % LABEL_SETS)).update("inc")
        mine.update("observe", observed[turn % 4])
        shared.update("observe", observed[turn % 4])
        in_turn.update("dec")
        ledger.note_done(writer)
        turn += 1


class Page:
    def __init__(self, page: bytes) -> None:
        self.metrics = {m.name: m for m in oracles.parse(page)}
        self.samples = {
            (name, labels): value
            for name, labels, value in oracles.parsed_samples(self.metrics.values())
            if not name.startswith(oracles.OWN)
        }

    def total(self, name: str, **labels: str) -> float:
        return sum(
            v for (sample, at), v in self.samples.items() if sample == name and labels.items() <= dict(at).items()
        )

    def problems(self) -> list[str]:
        """What is wrong on this page alone."""
        found = oracles.histogram_problems(self.metrics["times"])
        for s in self.metrics["times"].samples:
            if s.name == "times_sum":
                writer = s.labels["writer"]
                counts = [self.total("times_bucket", writer=writer, le=le) for le in OBSERVED]
                each = [b - a for a, b in zip([0, *counts], counts)]
                expected = sum(n * v for n, v in zip(each, OBSERVED.values()))
                if s.value != expected:
                    found.append(f"writer {writer}: the sum is {s.value}, of the buckets {each} it is {expected}")
        in_turn = self.total("in_turn")
        if not 0 <= in_turn <= WRITERS:
            found.append(f"{in_turn} of {WRITERS} writers are in a turn")
        return found

    def fallen_since(self, before: Page) -> list[str]:
        """Gauges may fall; what else there was must be there, and as high at least."""
        return [
            f"{name}{dict(labels)} was {value} and is {self.samples.get((name, labels))}"
            for (name, labels), value in before.samples.items()
            if name != "in_turn" and not self.samples.get((name, labels), -math.inf) >= value
        ]


class ScrapeWhileWriting(unittest.TestCase):
    name = f"scrape-while-writing-{os.getpid()}"

    @classmethod
    def setUpClass(cls) -> None:
        cls.ledger = Ledger()
        cls.segment = shm.Segment(cls.name, shm.CREATE_NEW)
        cls.addClassCleanup(shm.remove, cls.name)
        cls.reader = shm.Reader(cls.name)
        cls.addClassCleanup(cls.reader.close)
        cls.alive: dict[int, int] = {}
        cls.addClassCleanup(cls.end_writers)
        for writer in range(WRITERS):
            pid = os.fork()
            if pid == 0:
                child(partial(write, cls.segment, writer, cls.ledger))
            cls.alive[writer] = pid

    @classmethod
    def end_writers(cls) -> None:
        cls.ledger.stop()
        for writer in list(cls.alive):
            cls.bury(writer)

    @classmethod
    def bury(cls, writer: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(cls.alive.pop(writer), 0)[1])

    def test_pages_under_full_load(self) -> None:
        while not all(self.ledger.done(writer) for writer in range(WRITERS)):
            self.assertEqual(os.waitpid(-1, os.WNOHANG), (0, 0), "a writer died")
            time.sleep(0.01)
        before, growing = Page(self.reader.render()), 0
        for number in range(ROUNDS):
            least = sum(map(self.ledger.done, range(WRITERS)))
            raw = self.render(number)
            most = sum(map(self.ledger.begun, range(WRITERS)))
            page = Page(raw)
            self.assertEqual(page.problems(), [], f"page {number}")
            self.assertEqual(page.fallen_since(before), [], f"page {number}")
            turns = page.total("turns_total")
            self.assertTrue(least <= turns <= most, f"page {number}: {turns} turns, of {least} to {most}")
            growing += turns > before.total("turns_total")
            before = page
            if number in range(ROUNDS // 3, ROUNDS // 3 + KILLED):
                writer = number - ROUNDS // 3
                os.kill(self.alive[writer], signal.SIGKILL)
                self.assertEqual(self.bury(writer), -signal.SIGKILL)
        self.assertGreater(growing, ROUNDS // 10, "the writers hardly wrote: nothing was tested")
        self.ledger.stop()
        for writer in list(self.alive):
            self.assertEqual(self.bury(writer), 0, f"writer {writer}")
        self.compare_with_the_ledger(Page(self.reader.render()))

    def render(self, number: int) -> bytes:
        """By a reader, in small pieces, and by a writer's own mapping."""
        ways = (self.reader.render, lambda: self.reader.render_in_pieces(1000), self.segment.render)
        return ways[number % 3]()

    def compare_with_the_ledger(self, page: Page) -> None:
        """To the turn; a writer that was killed may have counted a turn that it did not note as done."""
        self.assertEqual(page.problems(), [])
        self.assertEqual(page.total("in_turn"), 0)
        everyone = [0, 0]
        for writer in range(WRITERS):
            done, begun = self.ledger.done(writer), self.ledger.begun(writer)
            self.assertLessEqual(begun - done, 1 if writer < KILLED else 0)
            for name in ("own_turns_total", "times_count"):
                counted = page.total(name, writer=str(writer))
                self.assertTrue(done <= counted <= begun, f"{name} of writer {writer}: {counted}, of {done} to {begun}")
            everyone[0] += done
            everyone[1] += begun
        for counted in (page.total("turns_total"), page.total("times_count", writer="all")):
            self.assertTrue(everyone[0] <= counted <= everyone[1], f"{counted}, of {everyone}")
        print(f"{everyone[0]} turns of {WRITERS} writers, {KILLED} of them killed, on {ROUNDS} pages", flush=True)


class Calibration(unittest.TestCase):
    GOOD = """\
# TYPE turns_total counter
turns_total 4
# TYPE times histogram
times_bucket{writer="1",le="0.25"} 1
times_bucket{writer="1",le="1.0"} 2
times_bucket{writer="1",le="4.0"} 3
times_bucket{writer="1",le="+Inf"} 4
times_sum{writer="1"} 10.625
times_count{writer="1"} 4
# TYPE in_turn gauge
in_turn 1
"""

    def test_wrong_pages_are_noticed(self) -> None:
        good = Page(self.GOOD.encode())
        self.assertEqual(good.problems(), [])
        self.assertEqual(good.fallen_since(good), [])
        for right, wrong in (
            ('sum{writer="1"} 10.625', 'sum{writer="1"} 10.5'),
            ('count{writer="1"} 4', 'count{writer="1"} 5'),
            ('le="1.0"} 2', 'le="1.0"} 0'),
            ("in_turn 1", "in_turn 9"),
            ("in_turn 1", "in_turn -1"),
        ):
            self.assertNotEqual(Page(self.GOOD.replace(right, wrong).encode()).problems(), [], wrong)
        for right, wrong in (("turns_total 4", "turns_total 3"), ("turns_total 4\n", ""), ('"4.0"} 3', '"4.0"} 2')):
            self.assertNotEqual(Page(self.GOOD.replace(right, wrong).encode()).fallen_since(good), [], wrong)


if __name__ == "__main__":
    main()
