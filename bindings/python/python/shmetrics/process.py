"""``process_*`` of each worker, with the label ``pid``.

The workers are the living processes that have gauges of their own in the segment. A collector makes
its own process a worker, and those that are forked from it. ``process_workers`` is their number.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Optional, Tuple

from . import process_collector
from ._native import Gauge, Segment
from .metrics_core import Metric
from .registry import REGISTRY

#: The gauges of this process, one for each segment, which is kept as well.
_attached: "Dict[str, Tuple[Segment, Gauge]]" = {}


def attach(segment: Optional[Segment] = None) -> None:
    """Makes this process, and those forked from it, workers."""
    of = segment if segment is not None else REGISTRY.segment
    if of is None:
        return
    # An anonymous segment has no name, so its object stands for it.
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
    found = [(name, made("process_" + name, text, labels=["pid"])) for name, text, made in process_collector.FAMILIES]
    for pid, identity, alive, _ in segment.processes():
        values = process_collector.read(pid) if alive else {}
        for name, family in found:
            if name in values:
                family.add_metric([str(identity)], values[name])
    return [family for _, family in found]
