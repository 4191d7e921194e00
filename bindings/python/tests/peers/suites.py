"""Runs test suites of other people, each in a process of its own, and compares how their tests end."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support import clean_environment

HERE = Path(__file__).parent
WATCHDOG_SECONDS = 300


@dataclass
class Outcomes:
    of: dict[str, str]  # "passed", "failed" or "skipped" by test
    log: str

    def number(self, outcome: str) -> int:
        return sum(o == outcome for o in self.of.values())


class Run:
    """Of the tests in a directory. The arguments are pytest's."""

    def __init__(self, suite: Path, into: Path, shm: Path, backend: str, *arguments: str, **environment: str) -> None:
        into.mkdir(parents=True)
        self._outcomes, self._log = into / "outcomes.json", into / "log"
        variables = clean_environment(shm, SHMETRICS_BACKEND=backend, SHMETRICS_OUTCOMES=str(self._outcomes)) | environment
        variables["PYTHONPATH"] = str(HERE)
        if backend == "stock":
            variables["SHMETRICS_PYTHON"] = "0"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "backend_plugin", "-p", "outcomes_plugin", "-p", "no:cacheprovider", "-c", "/dev/null"]
        command += ["--rootdir", str(suite.parent), "--confcutdir", str(suite.parent)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*command, *arguments, suite.name], cwd=suite.parent, env=variables, stdout=log, stderr=log)

    def wait(self) -> Outcomes:
        try:
            self._process.wait(WATCHDOG_SECONDS)
        finally:
            self._process.kill()
        found = json.loads(self._outcomes.read_text()) if self._outcomes.exists() else {}
        return Outcomes(found, self._log.read_text(errors="replace")[-15000:])


def problems(expected: dict[str, str], found: dict[str, str], must_fail: dict[str, str], ignored: dict[str, str]) -> list[str]:
    """What ends otherwise than expected or named."""
    said = [f"{test} is named as one that cannot apply, and is not there" for test in must_fail.keys() - found.keys()]
    for test in sorted(expected.keys() | found.keys()):
        wanted = "failed" if test in must_fail else expected.get(test)
        if test not in ignored and found.get(test) != wanted:
            said.append(f"{test} {found.get(test, 'was not run')}, but should be {wanted}")
    return said


def named(file: Path) -> dict[str, str]:
    """Lines `test : reason`."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    tests = dict(line.split(" : ", 1) for line in lines)
    assert all(tests.values()) and len(tests) == len(lines), f"{file.name}: each test once, each with a reason"
    return tests
