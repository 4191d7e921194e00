"""Registries: a segment, and collectors of other metrics beside it."""

from __future__ import annotations

from typing import Any, Dict, FrozenSet, Iterable, Iterator, List, Optional, Protocol, Set

from . import _functions, _names, _segment
from ._counted import counts_into_segment
from ._native import Bundle, Counter, Enum, Gauge, Histogram, Info, Segment, Summary
from .metrics_core import Metric
from .samples import Sample

_NATIVE = (Bundle, Counter, Enum, Gauge, Histogram, Info, Summary)


class Collector(Protocol):
    """The interface of collectors."""

    def collect(self) -> "Iterable[Any]":
        """Returns the families. It is called for each page."""


class DuplicateTimeseries(ValueError):
    """A collector has names that another collector has."""

    def __init__(self, duplicates: "Set[str]") -> None:
        super().__init__("Duplicated timeseries in CollectorRegistry: {}".format(duplicates))
        self.duplicates = duplicates


class CollectorRegistry:
    """The content of a page: all families of a segment, and those of registered collectors.

    ``Counter(..., registry=registry)`` counts into the registry's segment. Without ``segment``, a
    registry stands for the segment that the process counts into. The other arguments are
    prometheus_client's. ``support_collectors_without_names`` has no effect, as restricted
    registries call all collectors.
    """

    def __init__(
        self,
        auto_describe: bool = False,
        target_info: Optional[Dict[str, str]] = None,
        support_collectors_without_names: bool = False,
        *,
        segment: Optional[Segment] = None,
    ) -> None:
        self._segment = segment
        self._auto_describe = auto_describe
        # By ``id``, changed by single operations of the dictionary: comparing or dropping a
        # collector may run any code.
        self._collectors: "Dict[int, Any]" = {}
        self._names: "Dict[int, FrozenSet[str]]" = {}
        self._target_info: "Optional[Dict[str, str]]" = None
        self.set_target_info(target_info)

    @property
    def segment(self) -> Optional[Segment]:
        """The segment. It is opened when it is needed."""
        return self._segment if self._segment is not None else _segment.default()

    def register(self, collector: Any) -> None:
        """Adds a collector. Metrics of this package are in their segment already, and are not
        added.
        """
        if _is_native(collector) or id(collector) in self._collectors:
            return
        names = self._names_of(collector)
        duplicates = {name for known in list(self._names.copy().values()) for name in known & names}
        if duplicates:
            raise DuplicateTimeseries(duplicates)
        self._names[id(collector)] = names
        self._collectors.setdefault(id(collector), collector)

    def _names_of(self, collector: Any) -> "FrozenSet[str]":
        """The names of samples that a collector describes."""
        describe = getattr(collector, "describe", None) or (collector.collect if self._auto_describe else None)
        names: "Set[str]" = set()
        for metric in describe() if describe is not None else ():
            names.update(_names.samples(metric.name, metric.type))
        return frozenset(names)

    def unregister(self, collector: Any) -> None:
        """Removes a collector. Of a metric of this package with labels, it removes all series."""
        if _is_native(collector):
            collector.clear()
            return
        if id(collector) not in self._collectors and getattr(collector, "_shmetrics_constant", False):
            return  # prometheus_client registers it by itself, and applications unregister it
        del self._collectors[id(collector)]
        self._names.pop(id(collector), None)

    def set_target_info(self, labels: Optional[Dict[str, str]]) -> None:
        """Sets the labels of ``target_info``, which describes the application as a whole."""
        if labels and not self._target_info and any("target_info" in names for names in list(self._names.copy().values())):
            raise ValueError("CollectorRegistry already contains a target_info metric")
        self._target_info = labels

    def get_target_info(self) -> Optional[Dict[str, str]]:
        return self._target_info

    def restricted_registry(self, names: "Iterable[str]") -> "RestrictedRegistry":
        """A registry with only the samples of these names."""
        return RestrictedRegistry(names, self)

    def collect_others(self) -> "Iterator[Any]":
        """The families that are not in the segment."""
        if self._target_info:
            target = Metric("target", "Target metadata", "info")
            target.add_sample("target_info", self._target_info, 1)
            yield target
        for collector in list(self._collectors.copy().values()):
            # Metrics of prometheus_client may count into the segment.
            if not counts_into_segment(collector):
                yield from collector.collect()

    def collect(self) -> "Iterator[Any]":
        """All families, as objects."""
        _functions.refresh()
        yield from self._of_segment(None)
        yield from self.collect_others()

    def _of_segment(self, names: "Optional[List[str]]") -> "Iterator[Metric]":
        segment = self.segment
        if segment is not None:
            yield from _families(segment, names)

    def get_sample_value(self, name: str, labels: Optional[Dict[str, str]] = None) -> Optional[float]:
        """The value of a sample; ``None`` if there is none. For tests."""
        for metric in self.collect():
            for sample in metric.samples:
                if sample.name == name and sample.labels == (labels or {}):
                    return float(sample.value)
        return None


def _families(segment: Segment, names: "Optional[List[str]]") -> "Iterator[Metric]":
    for name, kind, documentation, unit, _, samples in segment.families(names):
        metric = Metric(name, documentation, kind)
        metric.unit = unit
        metric.samples = [Sample(sample, labels, value) for sample, labels, value in samples]
        yield metric


class RestrictedRegistry:
    """A registry with only the samples of some names."""

    def __init__(self, names: "Iterable[str]", registry: CollectorRegistry) -> None:
        self.names = set(names)
        self.registry = registry

    def collect(self) -> "Iterator[Any]":
        for metric in self.registry.collect():
            restricted = metric._restricted_metric(self.names)
            if restricted is not None:
                yield restricted


def _is_native(collector: Any) -> bool:
    return isinstance(collector, _NATIVE)


def describe_metric(metric: Any) -> "List[Metric]":
    """The family of a native metric, without samples: its ``describe``."""
    family = Metric(metric._name, metric._documentation, metric._type)
    family.unit = metric._unit
    return [family]


def collect_metric(metric: Any, segment: Optional[Segment]) -> "List[Metric]":
    """The family of a native metric with its samples, or those of a child: its ``collect``."""
    name = metric._name
    shown = {"counter": name + "_total", "info": name + "_info"}.get(metric._type, name)
    found = [] if segment is None else [f for f in _families(segment, [shown, name + "_sum"]) if f.name == name]
    own = dict(zip(metric._labelnames, metric._labelvalues))
    for family in found:
        family.samples = [s for s in family.samples if own.items() <= s.labels.items()]
    return found or describe_metric(metric)


#: Stands for the segment that the process counts into.
REGISTRY = CollectorRegistry(auto_describe=True)
