"""``process_*`` of each worker: what prometheus_client's process collector says of one process,
with the label ``pid``.

The workers are the living processes that have gauges of their own in the segment. A collector makes
its own process one of them, and those that are forked from it: ``process_workers`` is their number.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ._native import Gauge, Segment
from .metrics_core import Metric
from .registry import REGISTRY

_FAMILIES = (
    ("process_virtual_memory_bytes", "Virtual memory size in bytes.", "gauge"),
    ("process_resident_memory_bytes", "Resident memory size in bytes.", "gauge"),
    ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", "gauge"),
    ("process_cpu_seconds", "Total user and system CPU time spent in seconds.", "counter"),
    ("process_open_fds", "Number of open file descriptors.", "gauge"),
    ("process_max_fds", "Maximum number of open file descriptors.", "gauge"),
)

#: The gauges of this process, one for each segment, which is kept as well.
_attached: "Dict[str, Tuple[Segment, Gauge]]" = {}


def attach(segment: Optional[Segment] = None) -> None:
    """Makes this process, and those forked from it, one that collectors see."""
    of = segment if segment is not None else REGISTRY.segment
    if of is None:
        return
    # An anonymous segment has no name, and goes by its object.
    key = of.path or "anonymous %d" % id(of)
    if key not in _attached:
        gauge = Gauge("process_workers", "Processes that are measured one by one.", multiprocess_mode="livesum", segment=of)
        _attached.setdefault(key, (of, gauge))[1].set(1)


def _new_process() -> None:
    for _, gauge in list(_attached.copy().values()):
        gauge.set(1)


os.register_at_fork(after_in_child=_new_process)


class ProcessCollector:
    """Collects ``process_*`` of all workers. It can be registered here and in prometheus_client's
    registries.
    """

    def __init__(self, registry: Any = REGISTRY, *, segment: Optional[Segment] = None) -> None:
        self._segment = segment
        attach(segment)
        if registry is not None:
            registry.register(self)

    def collect(self) -> "Iterator[Metric]":
        segment = self._segment if self._segment is not None else REGISTRY.segment
        return iter([] if segment is None else families(segment))


def families(segment: Segment) -> "List[Metric]":
    """The families, with a sample for each living worker."""
    metrics = [Metric(name, documentation, typ) for name, documentation, typ in _FAMILIES]
    for pid, identity, alive, _ in segment.processes():
        if not alive:
            continue
        try:
            values = _of(pid)
        except (OSError, ValueError, IndexError):
            continue  # it has gone, or is another container's
        for metric, value in zip(metrics, values):
            name = metric.name + ("_total" if metric.type == "counter" else "")
            metric.add_sample(name, {"pid": str(identity)}, value)
    return metrics


def _boot_time() -> float:
    with open("/proc/stat", "rb") as file:
        for line in file:
            if line.startswith(b"btime "):
                return float(line.split()[1])
    return 0.0


def _of(pid: int) -> "Tuple[float, ...]":
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    with open("/proc/%d/stat" % pid, "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    with open("/proc/%d/limits" % pid, "rb") as file:
        limit = next(line for line in file if line.startswith(b"Max open files")).split()[3]
    return (
        float(fields[20]),
        float(fields[21]) * page,
        float(fields[19]) / ticks + _boot_time(),
        (float(fields[11]) + float(fields[12])) / ticks,
        float(len(os.listdir("/proc/%d/fd" % pid))),
        float("inf") if limit == b"unlimited" else float(limit),
    )
