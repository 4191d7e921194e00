"""``python_gc_*`` of the process that renders the page."""

from __future__ import annotations

import gc
from typing import Any, Iterable

from .metrics_core import CounterMetricFamily, Metric
from .registry import REGISTRY

_FAMILIES = (
    ("python_gc_objects_collected", "Objects collected during gc", "collected"),
    ("python_gc_objects_uncollectable", "Uncollectable objects found during GC", "uncollectable"),
    ("python_gc_collections", "Number of times this generation was collected", "collections"),
)


class GCCollector:
    """Collects what the garbage collector has done."""

    def __init__(self, registry: Any = REGISTRY) -> None:
        if registry is not None and hasattr(gc, "get_stats"):
            registry.register(self)

    def collect(self) -> "Iterable[Metric]":
        families = []
        for name, documentation, key in _FAMILIES:
            family = CounterMetricFamily(name, documentation, labels=["generation"])
            for generation, stat in enumerate(gc.get_stats()):
                family.add_metric([str(generation)], stat[key])
            families.append(family)
        return families


#: For ``REGISTRY.register``: it is not registered by default, as a page shows all processes.
GC_COLLECTOR = GCCollector(registry=None)
GC_COLLECTOR._shmetrics_constant = True  # type: ignore[attr-defined]
