"""Families of collectors as bytes, in all formats, with names escaped as on the rest of the page.
"""

from __future__ import annotations

import math
import struct
from typing import Any, Dict, Iterable, List, Optional, Tuple

from . import _names

#: How Prometheus' text and protobuf formats call types that they do not have.
_TEXT_TYPES = {"info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram", "unknown": "untyped"}
#: Types with several samples for a series. The family's name is escaped, and the suffix is kept.
_SUFFIXED = ("histogram", "gaugehistogram", "summary")
#: Samples for which the text formats have no place. They are shown as gauges.
_AS_GAUGES = ("_created", "_gsum", "_gcount")


def number(value: float) -> str:
    """A number as Go writes it, and as prometheus_client does."""
    value = float(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    shown = repr(value)
    dot = shown.find(".")
    if value > 0 and dot > 6:
        mantissa = (shown[0] + "." + shown[1:dot] + shown[dot + 1 :]).rstrip("0.")
        return "%se+%02d" % (mantissa, dot - 1)
    return shown


def _sample_name(metric: Any, name: str, escaping: str) -> str:
    if metric.type in _SUFFIXED and name.startswith(metric.name):
        return _names.metric(metric.name, escaping) + name[len(metric.name) :]
    return _names.metric(name, escaping)


def _suffix(metric: Any) -> str:
    """The suffix of the samples' names, where all samples have the same."""
    return {"counter": "_total", "info": "_info"}.get(metric.type, "")


def _sample_family(metric: Any) -> str:
    return str(metric.name) + _suffix(metric)


def _openmetrics_name(metric: Any, escaping: str) -> str:
    """The family's name, with which the names of its samples begin. The name with the suffix is
    escaped.
    """
    if escaping == _names.ALLOWUTF8 or _names.is_metric(metric.name):
        return str(metric.name)
    shown = _names.metric(_sample_family(metric), escaping)
    return shown[: len(shown) - len(_suffix(metric))]


def _labels(labels: "Dict[str, str]", escaping: str) -> "List[Tuple[str, str]]":
    return [(_names.label(name, escaping), str(value)) for name, value in sorted(labels.items())]


def _braces(pairs: "List[Tuple[str, str]]", name: str = "") -> str:
    parts = [name] if name else []
    parts += ['%s="%s"' % (_names.quoted(k, _names.is_label(k)), _names.text(v)) for k, v in pairs]
    return "{%s}" % ",".join(parts) if parts else ""


def _line(metric: Any, sample: Any, escaping: str, openmetrics: bool) -> str:
    name, pairs = _sample_name(metric, sample[0], escaping), _labels(sample[1], escaping)
    if _names.is_metric(name):
        head = name + _braces(pairs)
    else:
        head = _braces(pairs, _names.quoted(name, False))
    when = ""
    if sample[3] is not None:
        when = " %s" % sample[3] if openmetrics else " %d" % (float(sample[3]) * 1000)
    exemplars = ""
    native = sample[5] if len(sample) > 5 else None
    if openmetrics and len(sample) > 4:
        given = [sample[4]] if sample[4] else []
        exemplars = "".join(_exemplar(e) for e in [*given, *((native and native.nh_exemplars) or ())])
    value = number(sample[2]) if native is None else _native(native)
    return "%s %s%s%s\n" % (head, value, when, exemplars)


def _exemplar(exemplar: Any) -> str:
    when = "" if exemplar.timestamp is None else " %s" % exemplar.timestamp
    return " # %s %s%s" % (_braces(sorted(exemplar.labels.items())) or "{}", number(exemplar.value), when)


def _native(value: Any) -> str:
    fields = ["count:%s" % value.count_value, "sum:%s" % value.sum_value, "schema:%s" % value.schema]
    fields += ["zero_threshold:%s" % value.zero_threshold, "zero_count:%s" % value.zero_count]
    for of, spans, deltas in (
        ("negative", value.neg_spans, value.neg_deltas),
        ("positive", value.pos_spans, value.pos_deltas),
    ):
        if spans:
            fields.append("%s_spans:[%s]" % (of, ",".join("%s:%s" % (span[0], span[1]) for span in spans)))
            fields.append("%s_deltas:[%s]" % (of, ",".join(str(delta) for delta in deltas or ())))
    return "{%s}" % ",".join(fields)


def filtered(metrics: "Iterable[Any]", names: "Optional[set[str]]") -> "Iterable[Tuple[Any, List[Any]]]":
    """The families with their samples of these names. Families without such samples are left out.
    """
    for metric in metrics:
        samples = [s for s in metric.samples if names is None or s[0] in names]
        if samples or names is None:
            yield metric, samples


def text(
    metrics: "Iterable[Any]", openmetrics: bool, escaping: str, names: "Optional[set[str]]" = None, version: int = 1
) -> bytes:
    """The text in Prometheus' format, or in a version of OpenMetrics without its last line."""
    lines: "List[str]" = []

    def head(name: str, documentation: str, kind: str) -> str:
        name = _names.quoted(name, _names.is_metric(name))
        lines.append("# HELP %s %s\n" % (name, _names.text(documentation, openmetrics)))
        lines.append("# TYPE %s %s\n" % (name, kind))
        return name

    for metric, samples in filtered(metrics, names):
        if openmetrics:
            name = head(_openmetrics_name(metric, escaping), metric.documentation, metric.type)
            if metric.unit:
                lines.append("# UNIT %s %s\n" % (name, metric.unit))
            for sample in samples:
                if version >= 2 or len(sample) < 6 or sample[5] is None:
                    lines.append(_line(metric, sample, escaping, True))
            continue
        head(_names.metric(_sample_family(metric), escaping), metric.documentation, _TEXT_TYPES.get(metric.type, metric.type))
        apart: "Dict[str, List[str]]" = {}
        for sample in samples:
            if len(sample) > 5 and sample[5] is not None:
                continue
            suffix = next((suffix for suffix in _AS_GAUGES if sample[0] == metric.name + suffix), None)
            to = lines if suffix is None else apart.setdefault(suffix, [])
            to.append(_line(metric, sample, escaping, False))
        for suffix, more in sorted(apart.items()):
            head(_sample_name(metric, metric.name + suffix, escaping), metric.documentation, "gauge")
            lines += more
    return "".join(lines).encode("utf-8", "replace")


# The protobuf format: messages io.prometheus.client.MetricFamily, each after its length.

_TYPES = {"counter": 0, "gauge": 1, "summary": 2, "untyped": 3, "histogram": 4, "gaugehistogram": 5}


def _varint(n: int) -> bytes:
    out = bytearray()
    n &= 0xFFFFFFFFFFFFFFFF
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _whole(field: int, n: int) -> bytes:
    return _varint(field << 3) + _varint(n)


def _signed(field: int, n: int) -> bytes:
    return _whole(field, n << 1 if n >= 0 else (-n << 1) - 1)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, of: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(of)) + of


def _string(field: int, of: str) -> bytes:
    return _bytes(field, of.encode("utf-8", "replace"))


def _pairs(pairs: "Iterable[Tuple[str, str]]") -> bytes:
    return b"".join(_bytes(1, _string(1, name) + _string(2, value)) for name, value in pairs)


def _timestamp(field: int, seconds: Any) -> bytes:
    whole = math.floor(float(seconds))
    nanoseconds = seconds.nsec if hasattr(seconds, "nsec") else round((float(seconds) - whole) * 1e9)
    return _bytes(field, _whole(1, whole) + _whole(2, int(nanoseconds)))


def _message_of_exemplar(field: int, exemplar: Any) -> bytes:
    if not exemplar:
        return b""
    when = b"" if exemplar.timestamp is None else _timestamp(3, exemplar.timestamp)
    return _bytes(field, _pairs(sorted(exemplar.labels.items())) + _double(2, exemplar.value) + when)


def _count(whole: int, real: int, value: float) -> bytes:
    return _whole(whole, int(value)) if float(value).is_integer() and value >= 0 else _double(real, value)


class _Series:
    """The samples of one set of labels."""

    def __init__(self) -> None:
        self.values: "Dict[str, Any]" = {}
        self.points: "List[Any]" = []


def _bound(of: str) -> float:
    return float(of.replace("Inf", "inf"))


def _message(metric: Any, kind: str, series: _Series) -> bytes:
    """The message of a series' value, with its creation time."""
    values = series.values

    def value(suffix: str) -> float:
        return float(values[suffix][2]) if suffix in values else 0.0

    def created(field: int) -> bytes:
        return _timestamp(field, values["_created"][2]) if "_created" in values else b""

    if kind == "counter":
        total = values.get("_total") or values.get("")
        exemplar = _message_of_exemplar(2, total[4]) if total is not None and len(total) > 4 else b""
        return _bytes(3, _double(1, 0.0 if total is None else float(total[2])) + exemplar + created(3))
    if kind == "summary":
        quantiles = b"".join(_bytes(3, _double(1, _bound(s[1]["quantile"])) + _double(2, s[2])) for s in series.points)
        return _bytes(4, _whole(1, int(value("_count"))) + _double(2, value("_sum")) + quantiles + created(4))
    if kind in ("histogram", "gaugehistogram"):
        prefix = "_g" if kind == "gaugehistogram" else "_"
        buckets = sorted(series.points, key=lambda s: _bound(s[1]["le"]))
        count = value(prefix + "count") if prefix + "count" in values else float(buckets[-1][2]) if buckets else 0.0
        native = next((s[5] for s in values.values() if len(s) > 5 and s[5] is not None), None)
        of = _count(1, 4, count) + _double(2, value(prefix + "sum"))
        if native is not None:
            of = _count(1, 4, native.count_value) + _double(2, native.sum_value)
        for s in buckets:
            exemplar = _message_of_exemplar(3, s[4]) if len(s) > 4 else b""
            # The message's count is that of the last bucket.
            if exemplar or not math.isinf(_bound(s[1]["le"])):
                of += _bytes(3, _count(1, 4, s[2]) + _double(2, _bound(s[1]["le"])) + exemplar)
        if native is not None:
            of += _signed(5, native.schema) + _double(6, native.zero_threshold) + _count(7, 8, native.zero_count)
            for spans, deltas, field in ((native.neg_spans, native.neg_deltas, 9), (native.pos_spans, native.pos_deltas, 12)):
                of += b"".join(_bytes(field, _signed(1, span[0]) + _whole(2, span[1])) for span in spans or ())
                of += b"".join(_signed(field + 1, delta) for delta in deltas or ())
            of += b"".join(_message_of_exemplar(16, exemplar) for exemplar in native.nh_exemplars or ())
        return _bytes(7, of + created(15))
    sample = values.get("") or next(iter(values.values()))
    return _bytes(5 if kind == "untyped" else 2, _double(1, float(sample[2])))


def protobuf(metrics: "Iterable[Any]", escaping: str, names: "Optional[set[str]]" = None) -> bytes:
    """The messages, each after its length."""
    out: "List[bytes]" = []
    for metric, samples in filtered(metrics, names):
        kind = metric.type if metric.type == "gaugehistogram" else _TEXT_TYPES.get(metric.type, metric.type)
        found: "Dict[Any, _Series]" = {}
        special = {"histogram": "le", "gaugehistogram": "le", "summary": "quantile"}.get(kind)
        for sample in samples:
            key = tuple(sorted((k, v) for k, v in sample[1].items() if k != special))
            series = found.setdefault(key, _Series())
            if special in sample[1]:
                series.points.append(sample)
            else:
                suffix = sample[0][len(metric.name) :] if sample[0].startswith(metric.name) else ""
                series.values["" if kind in ("gauge", "untyped") else suffix] = sample
        of = _string(1, _names.metric(_sample_family(metric), escaping)) + _string(2, metric.documentation)
        of += _whole(3, _TYPES[kind])
        for key, series in found.items():
            first = next(iter([*series.values.values(), *series.points]))
            when = b"" if first[3] is None else _whole(6, int(float(first[3]) * 1000))
            of += _bytes(4, _pairs(_labels(dict(key), escaping)) + _message(metric, kind, series) + when)
        if metric.unit:
            of += _string(5, metric.unit)
        out.append(_varint(len(of)) + of)
    return b"".join(out)
