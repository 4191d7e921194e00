"""The dashboard packaging/grafana/python.json: a real Prometheus scrapes `shmetrics serve` beside
gunicorn, and each query of each panel has data.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from load import Load
from prometheus import Prometheus
from server import Server, gunicorn
from support import ROOT, clean_environment, die_with_the_parent

sys.path.append(str(ROOT / "tests/interop"))

import grafana  # noqa: E402


@contextlib.contextmanager
def exporter(shm: Path) -> Iterator[int]:
    """The port of a `shmetrics serve` of all segments."""
    command = [sys.executable, "-m", "shmetrics", "serve", "--all", "--process-metrics", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command,
        env=clean_environment(shm),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=die_with_the_parent,
    ) as process:
        try:
            yield int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        finally:
            process.kill()


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
def test_each_query_has_data(shm, tmp_path):
    server = Server(gunicorn("flask_app", "-k", "gthread", "--threads", "4"), "hook", shm, tmp_path)
    with server, exporter(shm) as port, Prometheus({"python": port}, tmp_path / "prometheus") as prometheus, Load(server.port):
        left = grafana.without_data("python", lambda expression: [value for _, value in prometheus.query(expression)])
    assert left == []
