"""``process_*`` of one process, as prometheus_client has it. :mod:`shmetrics.process` has those of
all workers.
"""

from __future__ import annotations

import os
from typing import Any, Callable, Iterable, List, Optional, Union

from .metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from .registry import REGISTRY


class ProcessCollector:
    """Collects ``process_*`` of the process that renders the page, or of the one that ``pid``
    names.
    """

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
        of = os.path.join(self._proc, str(self._pid()).strip())
        families: "List[Metric]" = []

        def gauge(name: str, documentation: str, value: float) -> None:
            families.append(GaugeMetricFamily(self._prefix + name, documentation, value=value))

        try:
            ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
            booted = _after(os.path.join(self._proc, "stat"), b"btime", 1)
            with open(os.path.join(of, "stat"), "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            gauge("virtual_memory_bytes", "Virtual memory size in bytes.", float(fields[20]))
            gauge("resident_memory_bytes", "Resident memory size in bytes.", float(fields[21]) * page)
            since = "Start time of the process since unix epoch in seconds."
            gauge("start_time_seconds", since, float(fields[19]) / ticks + booted)
            cpu = (float(fields[11]) + float(fields[12])) / ticks
            text = "Total user and system CPU time spent in seconds."
            families.append(CounterMetricFamily(self._prefix + "cpu_seconds_total", text, value=cpu))
        except (OSError, ValueError, IndexError):
            pass  # it has gone, or may not be looked at
        try:
            most = _after(os.path.join(of, "limits"), b"Max open files", 3)
            gauge("open_fds", "Number of open file descriptors.", len(os.listdir(os.path.join(of, "fd"))))
            gauge("max_fds", "Maximum number of open file descriptors.", most)
        except (OSError, ValueError, IndexError):
            pass
        return families


def _after(path: str, start: bytes, field: int) -> float:
    """A field of the line that starts so."""
    with open(path, "rb") as file:
        for line in file:
            if line.startswith(start):
                value = line.split()[field]
                return float("inf") if value == b"unlimited" else float(value)
    raise ValueError(path)


#: For ``REGISTRY.register``: a page of all processes does not show it by itself.
PROCESS_COLLECTOR = ProcessCollector(registry=None)
PROCESS_COLLECTOR._shmetrics_constant = True  # type: ignore[attr-defined]
