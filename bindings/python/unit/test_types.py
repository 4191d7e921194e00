"""The type stubs agree with what is there, and with what people write."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")


def run(*arguments: str, cwd: pathlib.Path) -> None:
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_stubs_agree_with_the_module(tmp_path):
    run("mypy.stubtest", "shmetrics._native", "--concise", "--ignore-missing-stub", "--ignore-disjoint-bases", cwd=tmp_path)


def test_what_people_write(tmp_path):
    (tmp_path / "app.py").write_text(
        """
from shmetrics import Counter, Gauge, Histogram, Info, generate_latest, make_wsgi_app, start_http_server

REQUESTS = Counter("requests_total", "Requests.", ["method"])
REQUESTS.labels("GET").inc(exemplar={"trace_id": "x"})
SECONDS = Histogram("seconds", "Time.", unit="seconds", buckets=(0.1, "1"))
BUSY = Gauge("busy", "Busy.", multiprocess_mode="livesum")

@SECONDS.time()
@BUSY.track_inprogress()
def answer(request: str) -> int:
    with REQUESTS.labels(method="GET").count_exceptions(ValueError):
        return len(request)

number: int = answer("x")
page: bytes = generate_latest()
"""
    )
    run("mypy", "--strict", "app.py", cwd=tmp_path)
