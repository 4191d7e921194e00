"""prometheus_client.multiprocess over the segment."""

from __future__ import annotations

import functools
import os
from typing import Any, Dict, Iterator, List, Optional

from .. import _directory, _functions
from .._segment import warn
from .merge import added
from .segments import beside, leave, resolved, segment_at


def patch(multiprocess: Any, late: bool) -> None:
    """Patches the module prometheus_client.multiprocess."""
    original = multiprocess.MultiProcessCollector
    if getattr(original, "_shmetrics", False):
        return
    Metric, Sample = multiprocess.Metric, multiprocess.Sample
    original_mark = multiprocess.mark_process_dead
    # Where the module was imported outside of multiprocess mode, the original class gets the
    # methods of ours.
    original_init, original_merge = original.__init__, original.merge

    class MultiProcessCollector(original):  # type: ignore[misc, valid-type]
        """Collector for multi-process mode: what all processes have counted into the directory's
        segment.
        """

        _shmetrics = True

        def __init__(self, registry: Any, path: Optional[str] = None) -> None:
            if path is None and "prometheus_multiproc_dir" not in os.environ:
                # Old versions know the name in lower case alone.
                path = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
            original_init(self, registry, path)
            # It may be relative, and the program change its directory.
            self._path: str = self._path if os.path.isabs(self._path) else resolved(self._path)

        @property
        def segment(self) -> Any:
            return segment_at(self._path)

        @staticmethod
        def merge(files: Any, accumulate: bool = True) -> Any:
            """What is in these files. The marker of a directory, and no files at all, stand for the
            segment that counts instead.
            """
            files = list(files)
            of_others = [file for file in files if os.path.basename(file) != _directory.MARKER]
            marked = [os.path.dirname(file) for file in files if os.path.basename(file) == _directory.MARKER]
            if not files and _directory.from_environment() is not None:
                marked = [_directory.from_environment()]
            found: "List[Any]" = []
            for path in marked:
                found += _shown(path or ".", of_others, Metric, Sample, original_merge, accumulate)
                of_others = []
            return found if marked else original_merge(of_others, accumulate)

        def collect(self) -> Iterator[Any]:
            _functions.refresh()
            yield from _shown(self._path, files_of(self._path), Metric, Sample, original_merge, True)

    MultiProcessCollector.__name__ = original.__name__
    MultiProcessCollector.__qualname__ = original.__qualname__
    MultiProcessCollector.__module__ = original.__module__
    MultiProcessCollector.__doc__ = original.__doc__
    for method in ("__init__", "merge", "collect"):
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


def is_alone(collector: Any) -> bool:
    """Whether all there is to show is in one segment."""
    return not files_of(collector._path) and not beside(collector._path)


def files_of(path: str) -> "List[str]":
    """Files of processes that do not have this package."""
    try:
        names = os.listdir(path)
    except OSError:
        return []
    return [os.path.join(path, name) for name in sorted(names) if name.endswith(".db") and name[0] != "." and name != _directory.MARKER]


def _shown(path: str, files: "List[str]", Metric: Any, Sample: Any, merge: Any, accumulate: bool) -> "List[Any]":
    """All that processes have counted that have this directory: in its segment, in those beside it,
    and in files.
    """
    segments = [segment for segment in [segment_at(path), *beside(path)] if segment is not None]
    if not files and len(segments) < 2:
        return metrics_of(segments[0], Metric, Sample, accumulate) if segments else []
    parts = [metrics_of(segment, Metric, Sample, False) for segment in segments]
    sound = [file for file in files if _is_sound(file, merge)]
    if sound:
        parts.append(list(merge(sound, accumulate=False)))
    return added(parts, accumulate)


def _is_sound(file: str, merge: Any) -> bool:
    """Whether a file can be read. prometheus_client would show nothing because of it."""
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
