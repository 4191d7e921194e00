"""Families as objects, for collectors, with the classes and arguments of prometheus_client."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

from .samples import Exemplar, NativeHistogram, Sample, Timestamp
from .validation import _validate_metric_name

METRIC_TYPES = ("counter", "gauge", "summary", "histogram", "gaugehistogram", "unknown", "info", "stateset")

_When = Optional[Union[Timestamp, float]]


class Metric:
    """A family with its samples. Collectors use the classes below."""

    def __init__(self, name: str, documentation: str, typ: str, unit: str = "") -> None:
        if unit and not name.endswith("_" + unit):
            name += "_" + unit
        _validate_metric_name(name)
        typ = "unknown" if typ == "untyped" else typ
        if typ not in METRIC_TYPES:
            raise ValueError("Invalid metric type: " + typ)
        self.name = name
        self.documentation = documentation
        self.unit = unit
        self.type = typ
        self.samples: "List[Sample]" = []

    def add_sample(
        self,
        name: str,
        labels: Dict[str, str],
        value: float,
        timestamp: _When = None,
        exemplar: Optional[Exemplar] = None,
        native_histogram: Optional[NativeHistogram] = None,
    ) -> None:
        """Adds a sample."""
        self.samples.append(Sample(name, labels, value, timestamp, exemplar, native_histogram))

    def _restricted_metric(self, names: "Any") -> "Optional[Metric]":
        """For registries of prometheus_client."""
        samples = [sample for sample in self.samples if sample[0] in names]
        if not samples:
            return None
        restricted = Metric(self.name, self.documentation, self.type)
        restricted.unit = self.unit
        restricted.samples = samples
        return restricted

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metric) and self.__key() == other.__key()

    __hash__ = None  # type: ignore[assignment]

    def __key(self) -> "Tuple[Any, ...]":
        return self.name, self.documentation, self.type, self.unit, self.samples

    def __repr__(self) -> str:
        return "Metric(%s, %s, %s, %s, %s)" % (self.name, self.documentation, self.type, self.unit, self.samples)


class _Labelled(Metric):
    """A family of a type, whose samples have the same label names."""

    _typ = ""

    def __init__(self, name: str, documentation: str, unit: str, labels: "Optional[Sequence[str]]", given: object) -> None:
        super().__init__(name, documentation, self._typ, unit)
        if labels is not None and given is not None:
            what = "buckets" if self._typ.endswith("histogram") else "value"
            raise ValueError("Can only specify at most one of %s and labels." % what)
        self._labelnames = tuple(labels or ())

    def _add(
        self,
        suffix: str,
        labels: "Sequence[str]",
        value: float,
        timestamp: _When,
        more: "Optional[Dict[str, str]]" = None,
        exemplar: Optional[Exemplar] = None,
    ) -> None:
        shown = dict(zip(self._labelnames, labels), **(more or {}))
        self.samples.append(Sample(self.name + suffix, shown, value, timestamp, exemplar))


class _Plain(_Labelled):
    """A family of one value for each label set."""

    def __init__(
        self,
        name: str,
        documentation: str,
        value: Optional[float] = None,
        labels: Optional[Sequence[str]] = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, unit, labels, value)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: float, timestamp: _When = None) -> None:
        """Adds the sample with these label values."""
        self._add("", labels, value, timestamp)


class UnknownMetricFamily(_Plain):
    """A family of unknown type, for collectors."""

    _typ = "unknown"


#: The name before OpenMetrics.
UntypedMetricFamily = UnknownMetricFamily


class CounterMetricFamily(_Labelled):
    """A counter, for collectors. ``name`` may end in ``_total``."""

    _typ = "counter"

    def __init__(
        self,
        name: str,
        documentation: str,
        value: Optional[float] = None,
        labels: Optional[Sequence[str]] = None,
        created: Optional[float] = None,
        unit: str = "",
        exemplar: Optional[Exemplar] = None,
    ) -> None:
        if name.endswith("_total"):
            name = name[: -len("_total")]
        super().__init__(name, documentation, unit, labels, value)
        if value is not None:
            self.add_metric([], value, created, exemplar=exemplar)

    def add_metric(
        self,
        labels: Sequence[str],
        value: float,
        created: Optional[float] = None,
        timestamp: _When = None,
        exemplar: Optional[Exemplar] = None,
    ) -> None:
        """Adds the sample with these label values. ``created``: when it was 0, in seconds since
        1970.
        """
        self._add("_total", labels, value, timestamp, exemplar=exemplar)
        if created is not None:
            self._add("_created", labels, created, timestamp)


class GaugeMetricFamily(_Plain):
    """A gauge, for collectors."""

    _typ = "gauge"


class SummaryMetricFamily(_Labelled):
    """A summary without quantiles, for collectors."""

    _typ = "summary"

    def __init__(
        self,
        name: str,
        documentation: str,
        count_value: Optional[int] = None,
        sum_value: Optional[float] = None,
        labels: Optional[Sequence[str]] = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, unit, labels, count_value)
        if (sum_value is None) != (count_value is None):
            raise ValueError("count_value and sum_value must be provided together.")
        if count_value is not None and sum_value is not None:
            self.add_metric([], count_value, sum_value)

    def add_metric(self, labels: Sequence[str], count_value: int, sum_value: float, timestamp: _When = None) -> None:
        """Adds the samples with these label values."""
        self._add("_count", labels, count_value, timestamp)
        self._add("_sum", labels, sum_value, timestamp)


_Bucket = Union[Tuple[str, float], Tuple[str, float, Exemplar]]


class HistogramMetricFamily(_Labelled):
    """A histogram, for collectors."""

    _typ = "histogram"

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Optional[Sequence[_Bucket]] = None,
        sum_value: Optional[float] = None,
        labels: Optional[Sequence[str]] = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, unit, labels, buckets)
        if sum_value is not None and buckets is None:
            raise ValueError("sum value cannot be provided without buckets.")
        if buckets is not None:
            self.add_metric([], buckets, sum_value)

    def add_metric(
        self, labels: Sequence[str], buckets: Sequence[_Bucket], sum_value: Optional[float], timestamp: _When = None
    ) -> None:
        """Adds the samples with these label values. A bucket is a tuple of its bound as a text, the
        number of observations up to it, and optionally an exemplar. The last bound is ``+Inf``.
        """
        for bucket in buckets:
            exemplar = bucket[2] if len(bucket) == 3 else None
            self._add("_bucket", labels, bucket[1], timestamp, {"le": bucket[0]}, exemplar)
        # With negative observations the sum may fall, so it is no counter; and OpenMetrics has no
        # count without a sum.
        if float(buckets[0][0]) >= 0 and sum_value is not None:
            self._add("_count", labels, buckets[-1][1], timestamp)
            self._add("_sum", labels, sum_value, timestamp)


class GaugeHistogramMetricFamily(_Labelled):
    """A histogram of current values, for collectors."""

    _typ = "gaugehistogram"

    def __init__(
        self,
        name: str,
        documentation: str,
        buckets: Optional[Sequence[Tuple[str, float]]] = None,
        gsum_value: Optional[float] = None,
        labels: Optional[Sequence[str]] = None,
        unit: str = "",
    ) -> None:
        super().__init__(name, documentation, unit, labels, buckets)
        if buckets is not None:
            self.add_metric([], buckets, gsum_value)

    def add_metric(
        self,
        labels: Sequence[str],
        buckets: Sequence[Tuple[str, float]],
        gsum_value: Optional[float],
        timestamp: _When = None,
    ) -> None:
        """Adds the samples with these label values. The last bound is ``+Inf``."""
        for bound, value in buckets:
            self._add("_bucket", labels, value, timestamp, {"le": bound})
        self._add("_gcount", labels, buckets[-1][1], timestamp)
        if gsum_value is not None:
            self._add("_gsum", labels, gsum_value, timestamp)


class InfoMetricFamily(_Labelled):
    """Information in labels, for collectors."""

    _typ = "info"

    def __init__(
        self,
        name: str,
        documentation: str,
        value: Optional[Dict[str, str]] = None,
        labels: Optional[Sequence[str]] = None,
    ) -> None:
        super().__init__(name, documentation, "", labels, value)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: Dict[str, str], timestamp: _When = None) -> None:
        """Adds the sample with these label values and this information."""
        self._add("_info", labels, 1, timestamp, value)


class StateSetMetricFamily(_Labelled):
    """States that are on or off, for collectors."""

    _typ = "stateset"

    def __init__(
        self,
        name: str,
        documentation: str,
        value: Optional[Dict[str, bool]] = None,
        labels: Optional[Sequence[str]] = None,
    ) -> None:
        super().__init__(name, documentation, "", labels, value)
        if value is not None:
            self.add_metric([], value)

    def add_metric(self, labels: Sequence[str], value: Dict[str, bool], timestamp: _When = None) -> None:
        """Adds the samples with these label values, one for each state."""
        for state, enabled in sorted(value.items()):
            self._add("", labels, 1 if enabled else 0, timestamp, {self.name: state})
