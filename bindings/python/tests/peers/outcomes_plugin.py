"""A plugin for other people's tests: notes how each test ends, in the file SHMETRICS_OUTCOMES, as
JSON.
"""

from __future__ import annotations

import json
import os

_outcomes: dict[str, str] = {}


def pytest_runtest_logreport(report) -> None:
    test = report.nodeid.split("/")[-1]
    if report.when == "call" or report.outcome != "passed":
        if _outcomes.get(test) != "failed":
            _outcomes[test] = report.outcome


def pytest_collectreport(report) -> None:
    if report.failed:
        _outcomes[report.nodeid.split("/")[-1]] = "failed"


def pytest_sessionfinish() -> None:
    with open(os.environ["SHMETRICS_OUTCOMES"], "w") as out:
        json.dump(_outcomes, out)
