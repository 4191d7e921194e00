"""Small programs that count, natively and through the drop-in, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support import clean_environment, multiprocess_environment, python

KINDS = ["native", "dropin"]
#: What names the segment in a directory.
MARKER = "gauge_max_shmetrics.db"

_BEGIN = """
import os, sys, warnings
KIND = {kind!r}
if KIND == "native":
    import shmetrics
    from shmetrics import Counter, Gauge, Histogram, Summary
    def page():
        return shmetrics.generate_latest().decode()
else:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector
    def page():
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry).decode()
def value(name, **labels):
    from prometheus_client.parser import text_string_to_metric_families
    found = [s.value for f in text_string_to_metric_families(page()) for s in f.samples if s.name == name and labels.items() <= s.labels.items()]
    return sum(found)
"""


def environment(kind: str, shm: Path, directory: Path, **more: str) -> dict[str, str]:
    files = directory / "multiproc"
    files.mkdir(exist_ok=True)
    return clean_environment(shm, **more) if kind == "native" else multiprocess_environment(shm, files, **more)


def program(kind: str, code: str) -> str:
    return _BEGIN.format(kind=kind) + code


def run(kind: str, code: str, shm: Path, directory: Path, **more: str) -> subprocess.CompletedProcess:
    """It must end well, and write nothing where stock would."""
    done = python(program(kind, code), environment(kind, shm, directory, **more), cwd=directory)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert set(os.listdir(directory / "multiproc")) <= {MARKER}
    return done
