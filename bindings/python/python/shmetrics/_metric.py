"""Metrics as objects, for collectors and for those who read values: the same attributes as prometheus_client's."""

from __future__ import annotations

import math
from typing import Any, Dict, Iterable, List, NamedTuple, Optional


class Sample(NamedTuple):
    name: str
    labels: Dict[str, str]
    value: float
    timestamp: Optional[float] = None
    exemplar: Any = None
    native_histogram: Any = None


class Metric:
    """A family with its samples. Collectors return such."""

    def __init__(self, name: str, documentation: str, typ: str, unit: str = "") -> None:
        if unit and not name.endswith("_" + unit):
            name += "_" + unit
        self.name = name
        self.documentation = documentation
        self.type = "unknown" if typ == "untyped" else typ
        self.unit = unit
        self.samples: "List[Sample]" = []

    def add_sample(self, name: str, labels: Dict[str, str], value: float, timestamp: Optional[float] = None) -> None:
        self.samples.append(Sample(name, labels, value, timestamp))

    def _restricted_metric(self, names: "set[str]") -> "Optional[Metric]":
        """As prometheus_client's registries ask for it."""
        restricted = Metric(self.name, self.documentation, self.type)
        restricted.unit = self.unit
        restricted.samples = [sample for sample in self.samples if sample.name in names]
        return restricted if restricted.samples else None

    def __repr__(self) -> str:
        return "Metric(%s, %s, %s, %r)" % (self.name, self.documentation, self.type, self.samples)


def number(value: float) -> str:
    value = float(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return repr(value)


def _escaped(text: str, quotes: bool) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text


def encode(metrics: "Iterable[Any]", openmetrics: bool, names: "Optional[set[str]]" = None) -> bytes:
    """Families of collectors as text, without an end."""
    lines: "List[str]" = []
    for metric in metrics:
        kind, shown = metric.type, metric.name
        samples = [s for s in metric.samples if names is None or s[0] in names]
        if names is not None and not samples:
            continue
        if not openmetrics:
            if kind == "counter":
                shown += "_total"
            elif kind == "info":
                shown += "_info"
            kind = {"info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram", "unknown": "untyped"}.get(kind, kind)
            samples = [s for s in samples if s[0] != metric.name + "_created"]
        lines.append("# HELP %s %s\n" % (shown, _escaped(metric.documentation, openmetrics)))
        lines.append("# TYPE %s %s\n" % (shown, kind))
        if openmetrics and metric.unit:
            lines.append("# UNIT %s %s\n" % (shown, metric.unit))
        for sample in samples:
            name, labels, value, timestamp = sample[:4]
            pairs = ",".join('%s="%s"' % (k, _escaped(str(v), True)) for k, v in sorted(labels.items()))
            when = ""
            if timestamp is not None:
                when = " %s" % timestamp if openmetrics else " %d" % (float(timestamp) * 1000)
            lines.append("%s%s %s%s\n" % (name, "{%s}" % pairs if pairs else "", number(value), when))
    return "".join(lines).encode()
