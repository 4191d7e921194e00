"""The multiprocess collector, reading the segment."""

from __future__ import annotations

import functools
import os
from typing import Any, Dict, Iterator, List, Optional

from .. import _directory, _functions
from .._segment import warn
from .merge import merged
from .segments import further_segments, detach, resolved, segment_at


def patch(multiprocess: Any, late: bool) -> None:
    """Patches the module prometheus_client.multiprocess."""
    original = multiprocess.MultiProcessCollector
    if getattr(original, "_shmetrics", False):
        return
    Metric, Sample = multiprocess.Metric, multiprocess.Sample
    original_mark = multiprocess.mark_process_dead
    # If the module was imported outside of multiprocess mode, the hook copies our methods into the
    # original class. So the original methods are kept here.
    original_init, original_merge = original.__init__, original.merge

    class MultiProcessCollector(original):  # type: ignore[misc, valid-type]
        """Collector for multi-process mode: what all processes have counted into the directory's
        segment.
        """

        _shmetrics = True

        def __init__(self, registry: Any, path: Optional[str] = None) -> None:
            if path is None and "prometheus_multiproc_dir" not in os.environ:
                # Old versions read the lower-case variable only.
                path = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
            original_init(self, registry, path)
            # The path may be relative, and the program may change its directory.
            self._path: str = self._path if os.path.isabs(self._path) else resolved(self._path)

        @property
        def segment(self) -> Any:
            return segment_at(self._path)

        @staticmethod
        def merge(files: Any, accumulate: bool = True) -> Any:
            """The content of these files. A marker, and an empty list, stand for the segment."""
            files = list(files)
            of_others = [file for file in files if os.path.basename(file) != _directory.MARKER]
            marked = [os.path.dirname(file) for file in files if os.path.basename(file) == _directory.MARKER]
            if not files and _directory.from_environment() is not None:
                marked = [_directory.from_environment()]
            found: "List[Any]" = []
            for path in marked:
                found += _families(path or ".", of_others, Metric, Sample, original_merge, accumulate)
                of_others = []
            return found if marked else original_merge(of_others, accumulate)

        def collect(self) -> Iterator[Any]:
            _functions.refresh()
            yield from _families(self._path, files_of(self._path), Metric, Sample, original_merge, True)

    MultiProcessCollector.__name__ = original.__name__
    MultiProcessCollector.__qualname__ = original.__qualname__
    MultiProcessCollector.__module__ = original.__module__
    MultiProcessCollector.__doc__ = original.__doc__
    for method in ("__init__", "merge", "collect"):
        functools.update_wrapper(getattr(MultiProcessCollector, method), getattr(original, method))

    @functools.wraps(original_mark)
    def mark_process_dead(pid: Any, path: Optional[str] = None) -> None:
        """Does nothing for a process that has died: the segment knows which processes live."""
        path = path if path is not None else _directory.from_environment()
        detach(path, pid)
        if path is not None:
            original_mark(pid, path)

    multiprocess.MultiProcessCollector = MultiProcessCollector
    multiprocess.mark_process_dead = mark_process_dead


def is_one_segment(collector: Any) -> bool:
    """Whether the page is that of one segment."""
    return not files_of(collector._path) and not further_segments(collector._path)


def files_of(path: str) -> "List[str]":
    """Files of processes that do not have this package."""
    try:
        names = os.listdir(path)
    except OSError:
        return []
    return [os.path.join(path, name) for name in sorted(names) if name.endswith(".db") and name[0] != "." and name != _directory.MARKER]


def _families(path: str, files: "List[str]", Metric: Any, Sample: Any, merge: Any, accumulate: bool) -> "List[Any]":
    """What all processes with this directory have counted: in its segment, in further segments, and
    in files.
    """
    segments = [segment for segment in [segment_at(path), *further_segments(path)] if segment is not None]
    if not files and len(segments) < 2:
        return metrics_of(segments[0], Metric, Sample, accumulate) if segments else []
    parts = [metrics_of(segment, Metric, Sample, False) for segment in segments]
    readable = [file for file in files if _is_readable(file, merge)]
    if readable:
        parts.append(list(merge(readable, accumulate=False)))
    return merged(parts, accumulate)


def _is_readable(file: str, merge: Any) -> bool:
    """Whether a file can be read. If one cannot, prometheus_client renders no page at all."""
    try:
        merge([file], accumulate=False)
        return True
    except FileNotFoundError:
        return False  # of a process that has just died
    except Exception as error:
        warn("the file %s is left out of the page: %s: %s" % (file, type(error).__name__, error))
        return False


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
