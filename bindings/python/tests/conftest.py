"""Fixtures, and the summary that the project's other test programs end with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

for part in ("", "never_break", "package", "peers", "servers"):
    sys.path.insert(0, str(Path(__file__).parent / part))

from support import Shm  # noqa: E402


@pytest.fixture
def shm():
    directory = Shm()
    yield directory.path
    directory.remove()


@pytest.fixture(scope="module")
def module_shm():
    directory = Shm()
    yield directory.path
    directory.remove()


def pytest_terminal_summary(terminalreporter) -> None:
    counted = {name: terminalreporter.stats.get(name, []) for name in ("passed", "failed", "error", "skipped")}
    reasons: dict[str, list[str]] = {}
    for report in counted["skipped"]:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid.split("/")[-1])
    for reason, tests in reasons.items():
        what = tests[0] if len(tests) == 1 else f"{len(tests)} tests of {tests[0].split('::')[0]}"
        terminalreporter.write_line(f"skipped: {what} ({reason})")
    failed = len(counted["failed"]) + len(counted["error"])
    terminalreporter.write_line(f"{len(counted['passed'])} passed, {failed} failed, {len(counted['skipped'])} skipped")
