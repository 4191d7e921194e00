"""``process_*`` of one process, as prometheus_client has it. :mod:`shmetrics.process` has those of
all workers.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Iterable, Union

from .metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from .registry import REGISTRY

#: Each family: its name without ``process_``, its help text, and its class.
FAMILIES = (
    ("virtual_memory_bytes", "Virtual memory size in bytes.", GaugeMetricFamily),
    ("resident_memory_bytes", "Resident memory size in bytes.", GaugeMetricFamily),
    ("start_time_seconds", "Start time of the process since unix epoch in seconds.", GaugeMetricFamily),
    ("cpu_seconds_total", "Total user and system CPU time spent in seconds.", CounterMetricFamily),
    ("open_fds", "Number of open file descriptors.", GaugeMetricFamily),
    ("max_fds", "Maximum number of open file descriptors.", GaugeMetricFamily),
)


def read(pid: Union[int, str], proc: str = "/proc") -> "Dict[str, float]":
    """The values of a process by the names of their families. Values that cannot be read are left
    out: the process has ended, or is another user's.
    """
    of, values = os.path.join(proc, str(pid)), {}
    try:
        ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        booted = _field(os.path.join(proc, "stat"), b"btime", 1)
        with open(os.path.join(of, "stat"), "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        values["virtual_memory_bytes"] = float(fields[20])
        values["resident_memory_bytes"] = float(fields[21]) * page
        values["start_time_seconds"] = float(fields[19]) / ticks + booted
        values["cpu_seconds_total"] = (float(fields[11]) + float(fields[12])) / ticks
    except (OSError, ValueError, IndexError):
        pass
    try:
        most = _field(os.path.join(of, "limits"), b"Max open files", 3)
        values["open_fds"] = float(len(os.listdir(os.path.join(of, "fd"))))
        values["max_fds"] = most
    except (OSError, ValueError, IndexError):
        pass
    return values


def _field(path: str, start: bytes, field: int) -> float:
    """A field of the line that begins with a text."""
    with open(path, "rb") as file:
        for line in file:
            if line.startswith(start):
                value = line.split()[field]
                return float("inf") if value == b"unlimited" else float(value)
    raise ValueError(path)


class ProcessCollector:
    """Collects ``process_*`` of the process that renders the page, or of the one that ``pid`` names."""

    def __init__(
        self,
        namespace: str = "",
        pid: Callable[[], Union[int, str]] = lambda: "self",
        proc: str = "/proc",
        registry: Any = REGISTRY,
    ) -> None:
        self._prefix = namespace + "_process_" if namespace else "process_"
        self._pid = pid
        self._proc = proc
        if registry is not None:
            registry.register(self)

    def collect(self) -> "Iterable[Metric]":
        values = read(str(self._pid()).strip(), self._proc)
        return [made(self._prefix + name, text, value=values[name]) for name, text, made in FAMILIES if name in values]


#: For ``REGISTRY.register``: it is not registered by default, as a page shows all processes.
PROCESS_COLLECTOR = ProcessCollector(registry=None)
PROCESS_COLLECTOR._shmetrics_constant = True  # type: ignore[attr-defined]
