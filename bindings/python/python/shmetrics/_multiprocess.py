"""prometheus_client.multiprocess over the segment."""

from __future__ import annotations

import functools
import glob
import os
from typing import Any, Dict, Iterator, List, Optional

from . import _directory, _functions
from ._domain import leave, segment_at


def patch(multiprocess: Any) -> None:
    original = multiprocess.MultiProcessCollector
    if getattr(original, "_shmetrics", False):
        return
    Metric, Sample = multiprocess.Metric, multiprocess.Sample
    original_mark = multiprocess.mark_process_dead

    class MultiProcessCollector(original):  # type: ignore[misc, valid-type]
        """Collector for multi-process mode: what all processes have counted into the directory's segment."""

        _shmetrics = True

        @property
        def segment(self) -> Any:
            return segment_at(self._path)

        @staticmethod
        def merge(files: Any, accumulate: bool = True) -> Any:
            """What is in these files; of no files, what is in the segment that counts instead of them."""
            files = list(files)
            if files:
                return original.merge(files, accumulate)
            path = _directory.from_environment()
            segment = None if path is None else segment_at(path)
            return metrics_of(segment, Metric, Sample, accumulate) if segment is not None else []

        def collect(self) -> Iterator[Any]:
            _functions.refresh()
            segment = segment_at(self._path)
            found = [] if segment is None else metrics_of(segment, Metric, Sample, True)
            yield from found
            # Of processes that write files, as those do that have the package not.
            files = glob.glob(os.path.join(glob.escape(self._path), "*.db"))
            if files:
                names = {metric.name for metric in found}
                yield from (metric for metric in original.merge(files, accumulate=True) if metric.name not in names)

    MultiProcessCollector.__name__ = original.__name__
    MultiProcessCollector.__qualname__ = original.__qualname__
    MultiProcessCollector.__module__ = original.__module__
    MultiProcessCollector.__doc__ = original.__doc__
    for method in ("merge", "collect"):
        functools.update_wrapper(getattr(MultiProcessCollector, method), getattr(original, method))

    @functools.wraps(original_mark)
    def mark_process_dead(pid: Any, path: Optional[str] = None) -> None:
        """Nothing has to be done when a process dies: the kernel tells who lives."""
        path = path if path is not None else _directory.from_environment()
        leave(path, pid)
        if path is not None:
            original_mark(pid, path)

    multiprocess.MultiProcessCollector = MultiProcessCollector
    multiprocess.mark_process_dead = mark_process_dead


def metrics_of(segment: Any, Metric: Any, Sample: Any, accumulate: bool) -> "List[Any]":
    """The segment's families as prometheus_client's objects."""
    found = []
    for name, kind, documentation, unit, mode, samples in segment.families():
        if not samples:
            continue
        metric = Metric(name, documentation, kind)
        if mode is not None:
            metric._multiprocess_mode = mode
        if kind == "histogram":
            samples = _histogram(name, samples, accumulate)
        metric.samples = [Sample(sample, labels, value) for sample, labels, value in samples]
        found.append(metric)
    return found


def _histogram(name: str, samples: "List[Any]", accumulate: bool) -> "List[Any]":
    """In the order of prometheus_client: the sum, the buckets, the count."""
    groups: "Dict[Any, Any]" = {}
    for sample, labels, value in samples:
        key = tuple(item for item in labels.items() if item[0] != "le")
        group = groups.setdefault(key, ([], [], []))
        group[0 if sample == name + "_sum" else 1 if sample == name + "_bucket" else 2].append((sample, labels, value))
    ordered: "List[Any]" = []
    for sums, buckets, counts in groups.values():
        if not accumulate:
            before, alone = 0.0, []
            for sample, labels, value in buckets:
                alone.append((sample, labels, value - before))
                before = value
            buckets, counts = alone, []
        ordered += sums + buckets + counts
    return ordered
