"""What a page has to stand: every checker there is, two renders that agree, and what Go makes of it."""

from __future__ import annotations

import re
import shutil
import unittest

import oracles
from daemons import Pushgateway
from model import Registry, Sample
from play import Played, Script, play

pushgateway: Pushgateway | None = None


def start_pushgateway() -> None:
    """For all tests of the module that calls this in its setUpModule."""
    global pushgateway
    if shutil.which(Pushgateway.program):
        pushgateway = Pushgateway()
        pushgateway.__enter__()
        unittest.addModuleCleanup(pushgateway.__exit__)


def verdicts(page: bytes, model: Registry) -> dict[str, list[str]]:
    """What each checker that is there has to say."""
    said = {"model": oracles.model_problems(page, model), "structure": oracles.structure_problems(page)}
    if shutil.which("promtool"):
        said["promtool"] = oracles.promtool_problems(page)
    if pushgateway:
        said["Pushgateway"] = pushgateway.problems(page)
    return said


def normal(samples: list[Sample]) -> list[Sample]:
    """Samples as Pushgateway gives them back: sorted, as floats, without empty labels, with bounds in another form."""

    def pair(name: str, value: str) -> tuple[str, str]:
        return (name, str(float(value) + 0.0)) if name in ("le", "quantile") else (name, value)

    plain = ((name, tuple(sorted(pair(*p) for p in labels if p[1])), float(v) + 0.0) for name, labels, v in samples)
    return sorted(plain, key=lambda sample: sample[:2])


def shown(page: bytes) -> str:
    """As much of a page as helps to see what is wrong."""
    lines = page.decode(errors="replace").split("# HELP shmetrics_", 1)[0].split("\n")
    return "\n".join(line if len(line) < 300 else line[:300] + " ..." for line in lines[:100])


class PageTest(unittest.TestCase):
    def check(self, script: Script) -> Played:
        played = play(script)
        for checker, problems in verdicts(played.page, played.model).items():
            self.expect_none(checker, problems, played.page)
        stable = [self.without_values(page) for page in (played.page, played.again, played.pieces)]
        self.assertTrue(stable[0] == stable[1], f"two renders differ:\n{played.page}\n{played.again}")
        self.assertTrue(stable[0] == stable[2], f"a page in small pieces differs:\n{played.page}\n{played.pieces}")
        if pushgateway:
            expected = [s for i in range(len(script.families)) for s in played.model.samples(i)]
            problems = oracles.differences(normal(expected), normal(pushgateway.pushed()))
            self.expect_none("the page as Go reads it", problems, played.page)
        return played

    def expect_none(self, checker: str, problems: list[str], page: bytes) -> None:
        if problems:
            self.fail("\n".join([f"{checker}: {problem}" for problem in problems[:10]] + ["the page:", shown(page)]))

    @staticmethod
    def without_values(page: bytes) -> list[bytes]:
        """The page, but for the times of the page itself."""
        return [line for line in page.split(b"\n") if not re.match(rb"shmetrics_(render|last_update_timestamp)_seconds[ {]", line)]
