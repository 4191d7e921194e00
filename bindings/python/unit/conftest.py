"""Each test has a directory for segments, which is removed after the test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

for variable in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir", "SHMETRICS_SEGMENT", "SHMETRICS_PYTHON"):
    os.environ.pop(variable, None)


@pytest.fixture(autouse=True)
def shm(monkeypatch):
    directory = tempfile.mkdtemp(prefix="python-test.", dir="/dev/shm")
    monkeypatch.setenv("SHMETRICS_DIR", directory)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def segment(shm):
    from shmetrics import Segment

    return Segment("unit")


@pytest.fixture
def registry(segment):
    from shmetrics import CollectorRegistry

    return CollectorRegistry(segment=segment)


@pytest.fixture
def program(shm, tmp_path):
    """Runs a program, and returns its output."""

    def run(code: str, *, status: int = 0, arguments: "tuple[str, ...]" = (), **environment: str) -> str:
        done = subprocess.run(
            [*(arguments or (sys.executable, "-c")), code],
            env={**os.environ, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + (done.stderr if status else "")

    return run
