"""Adds up the values of several segments and files, as prometheus_client adds up its files."""

from __future__ import annotations

import math
from typing import Any, Dict, List

_LOWEST = ("min", "livemin")
_HIGHEST = ("max", "livemax")
_ADDED = ("sum", "livesum")


def merged(parts: "List[List[Any]]", accumulate: bool) -> "List[Any]":
    """The families of all parts, one for each name. In the parts, buckets of histograms are not
    cumulated, and there are no counts.
    """
    families: "Dict[str, Any]" = {}
    for part in parts:
        for metric in part:
            first = families.setdefault(metric.name, metric)
            if first is not metric:
                first.samples = _merged_samples(first, metric)
    for metric in families.values():
        if metric.type == "histogram":
            metric.samples = _ordered(metric, accumulate)
    return list(families.values())


def _merged_samples(first: Any, second: Any) -> "List[Any]":
    mode = getattr(first, "_multiprocess_mode", None) if first.type == "gauge" else "sum"
    samples: "Dict[Any, Any]" = {}
    for sample in [*first.samples, *second.samples]:
        key = _key(sample)
        known = samples.get(key)
        samples[key] = sample if known is None else known._replace(value=_combined(mode, known.value, sample.value))
    return list(samples.values())


def _key(sample: Any) -> Any:
    labels = dict(sample.labels)
    if "le" in labels:
        # Bounds may be written in different ways.
        labels["le"] = float(labels["le"])
    return sample.name, tuple(sorted(labels.items()))


def _combined(mode: Any, known: float, other: float) -> float:
    if mode in _ADDED:
        return known + other
    if mode in _LOWEST or mode in _HIGHEST:
        if math.isnan(known) or math.isnan(other):
            return other if math.isnan(known) else known
        return min(known, other) if mode in _LOWEST else max(known, other)
    return known


def _ordered(metric: Any, accumulate: bool) -> "List[Any]":
    """The sum, the buckets by their bounds, and the count, for each label set."""
    groups: "Dict[Any, Any]" = {}
    for sample in metric.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        sums, buckets = groups.setdefault(tuple(sorted(labels.items())), ([], []))
        (buckets if "le" in sample.labels else sums).append(sample)
    ordered: "List[Any]" = []
    for labels, (sums, buckets) in groups.items():
        buckets.sort(key=lambda sample: float(sample.labels["le"]))
        ordered += sums
        total = 0.0
        for sample in buckets:
            total += sample.value
            ordered.append(sample._replace(value=total) if accumulate else sample)
        if accumulate and buckets:
            ordered.append(buckets[-1]._replace(name=metric.name + "_count", labels=dict(labels), value=total))
    return ordered
