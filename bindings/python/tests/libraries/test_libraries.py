"""Four libraries that are built on prometheus_client, unmodified: the drop-in's page has the
families and samples that stock's has.

Each application runs twice, in two processes each, stock and with the drop-in. What is measured in
seconds is compared by its counts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import clean_environment, multiprocess_environment, python, run

APPLICATIONS = sorted(path.stem for path in Path(__file__).parent.glob("app_*.py"))


def _page(application: str, by: str, shm: Path, directory: Path) -> str:
    command = [sys.executable, str(Path(__file__).parent / f"{application}.py")]
    done = run(command, multiprocess_environment(shm, directory / by, by == "stock"))
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


# The variable is set after prometheus_client is imported, by a program without multiprocess mode.
LATE = """
import os, tempfile
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_fastapi_instrumentator import Instrumentator

def raised(f):
    try:
        f()
    except ValueError as error:
        return str(error)

app, instrumentator = FastAPI(), Instrumentator()
os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/does/not/exist"
print(raised(Instrumentator))
instrumentator.instrument(app).expose(app)
print(raised(lambda: TestClient(app).get("/metrics")))
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(dir=".")
app = FastAPI()
Instrumentator().instrument(app).expose(app)
client = TestClient(app)
client.get("/none")
print(client.get("/metrics").status_code, repr(client.get("/metrics").text))
"""


def test_a_variable_that_comes_late_changes_nothing(shm, tmp_path):
    stock, ours = (python(LATE, clean_environment(shm, SHMETRICS_PYTHON=by), cwd=tmp_path) for by in ("0", "1"))
    assert ours.stdout == stock.stdout, ours.stderr
    wrong_at_once, wrong_at_the_page, page = stock.stdout.splitlines()
    assert "not a directory" in wrong_at_once and "env PROMETHEUS_MULTIPROC_DIR" in wrong_at_the_page
    assert page == "200 ''", "metrics that are not in files"
