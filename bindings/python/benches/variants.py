"""The variants, each in a process of its own: prometheus_client in one process and in multiprocess
mode, the drop-in, and the native metrics.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SINGLE, MULTI, DROPIN, NATIVE = "single", "multi", "drop-in", "native"
VARIANTS = [SINGLE, MULTI, DROPIN, NATIVE]


def die_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Variant:
    """Answers questions, a line of JSON each, on its standard input and output."""

    def __init__(self, name: str, script: str) -> None:
        self.name = name
        self.shm = Path(tempfile.mkdtemp(prefix="python-bench.", dir="/dev/shm"))
        self.files = Path(tempfile.mkdtemp(prefix="python-bench."))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("SHMETRICS_", "PROMETHEUS_"))}
        environment |= {"SHMETRICS_DIR": str(self.shm), "VARIANT": name, "PYTHONDONTWRITEBYTECODE": "1"}
        if name in (MULTI, DROPIN):
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(self.files)
        if name in (SINGLE, MULTI):
            environment["SHMETRICS_PYTHON"] = "0"
        self._process = subprocess.Popen(
            [sys.executable, script, "--answer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=die_with_the_parent,
        )

    def ask(self, *question: object):
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} has ended")
        return json.loads(answer)

    def files_made(self) -> tuple[int, int]:
        """How many, and their bytes on disk. A segment is one file in memory, and not among them."""
        made = [entry.stat() for entry in self.files.iterdir()]
        return len(made), sum(stat.st_blocks * 512 for stat in made)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self.shm)
        shutil.rmtree(self.files)


def answer(functions: dict) -> None:
    """The other end: calls a function by its name."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(functions[name](*arguments)), flush=True)


def spread(values: list[float], digits: int = 0) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"


def metrics():
    """The module whose metrics this process measures."""
    if os.environ["VARIANT"] == NATIVE:
        import shmetrics

        return shmetrics
    import prometheus_client
    from prometheus_client import values

    made = values.ValueClass("counter", "probe", "probe_total", (), (), "A probe.")
    assert made._multiprocess == (os.environ["VARIANT"] != SINGLE), made
    stock = any(name.startswith("counter_") for name in os.listdir(os.environ.get("PROMETHEUS_MULTIPROC_DIR", "/proc/self/fd")))
    assert stock == (os.environ["VARIANT"] == MULTI), "another backend than asked for"
    return prometheus_client


def registry():
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    made = CollectorRegistry()
    MultiProcessCollector(made)
    return made


def page() -> bytes:
    if os.environ["VARIANT"] == NATIVE:
        import shmetrics

        return shmetrics.generate_latest()
    from prometheus_client import REGISTRY, generate_latest

    return generate_latest(REGISTRY if os.environ["VARIANT"] == SINGLE else registry())
