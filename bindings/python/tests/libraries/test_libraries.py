"""Four libraries that are built on prometheus_client, unmodified: the drop-in's page has the
families and samples that stock's has.

Each application runs twice, in two processes each, stock and with the drop-in. What is measured in
seconds is compared by its counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import WATCHDOG_SECONDS, stock_environment

APPLICATIONS = sorted(path.stem for path in Path(__file__).parent.glob("app_*.py"))


def _page(application: str, by: str, shm: Path, directory: Path) -> str:
    environment = stock_environment(shm, directory / by)
    if by == "dropin":
        del environment["SHMETRICS_PYTHON"]
    command = [sys.executable, str(Path(__file__).parent / f"{application}.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WATCHDOG_SECONDS)
    assert done.returncode == 0, done.stderr
    files = [name for name in os.listdir(directory / by) if name != "gauge_max_shmetrics.db"]
    assert bool(files) == (by == "stock"), files
    return done.stdout


def _families(page: str) -> dict[str, tuple]:
    families = {}
    for family in text_string_to_metric_families(page):
        if family.name.startswith("shmetrics_"):
            continue
        assert family.name not in families, f"{family.name} is on the page twice"
        samples = {}
        for sample in family.samples:
            labels = {k: v for k, v in sample.labels.items() if k != "pid"}
            timed = "seconds" in sample.name and not sample.name.endswith("_count") and labels.get("le") != "+Inf"
            key = sample.name, tuple(sorted(labels.items()))
            samples[key] = samples.get(key, 0) + (0 if timed else sample.value)
        families[family.name] = family.type, family.documentation, samples
    return families


@pytest.mark.parametrize("application", APPLICATIONS)
def test_the_same_families_and_samples(application, shm, tmp_path):
    pages = {by: _page(application, by, shm, tmp_path) for by in ("stock", "dropin")}
    stock, ours = (_families(pages[by]) for by in ("stock", "dropin"))
    assert len(stock) >= 3 and sum(len(samples) for _, _, samples in stock.values()) >= 15, pages["stock"]
    assert ours.keys() == stock.keys()
    for name in stock:
        assert ours[name] == stock[name], name
