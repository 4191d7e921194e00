"""Pages of each format as programs of other people read them, in one form. All raise ValueError for a wrong page."""

from __future__ import annotations

import math
import re

import metric_family
import oracles
from model import canonical
from normal import Normal
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

_CUMULATIVE = ("counter", "histogram", "summary")


def text(page: bytes) -> Normal:
    """Text 0.0.4 and 1.0.0 by prometheus_client."""
    normal = Normal()
    for metric in oracles.parse(page):
        name = metric.name + "_total" * (metric.type == "counter")
        normal.add_family(name, metric.type.replace("unknown", "untyped"), metric.documentation.strip())
        for sample in metric.samples:
            normal.add(sample.name, sample.labels.items(), sample.value)
    return normal


def openmetrics(page: bytes) -> Normal:
    """OpenMetrics 1.0.0 by prometheus_client."""
    normal = Normal()
    try:
        metrics = list(parse_openmetrics(page.decode()))
    except (KeyError, IndexError, TypeError) as error:  # of some wrong pages it says it in this way
        raise ValueError(f"prometheus_client: {error!r}") from error
    for metric in metrics:
        normal.add_family(metric.name, metric.type, metric.documentation, metric.unit)
        for sample in metric.samples:
            if metric.type in _CUMULATIVE and sample.name == metric.name + "_created":
                normal.add_created(metric.name, sample.labels.items(), sample.value)
            else:
                name = sample.name
                if metric.type == "gaugehistogram":
                    name = re.sub("_g(sum|count)$", r"_\1", name)
                normal.add(name, sample.labels.items(), sample.value)
    return normal


_FIELDS = {
    "COUNTER": "counter", "GAUGE": "gauge", "SUMMARY": "summary", "UNTYPED": "untyped", "HISTOGRAM": "histogram",
    "GAUGE_HISTOGRAM": "histogram",
}  # fmt: skip


def protobuf_utf8(page: bytes) -> Normal:
    """As below, with names that any text may be."""
    return protobuf(page, ".+")


def protobuf(page: bytes, name: str = "[a-zA-Z_:][a-zA-Z0-9_:]*") -> Normal:
    """Delimited MetricFamily messages by Google's runtime, and the rules that it does not know of."""
    normal = Normal()
    for family in metric_family.parse(page):
        kind = metric_family.TYPES[family.type]
        if not re.fullmatch(name, family.name):
            raise ValueError(f"the name {family.name!r}")
        if not family.metric:
            raise ValueError(f"{family.name} has no metrics")
        normal.add_family(family.name, kind, family.help, family.unit)
        for metric in family.metric:
            has = [field.name for field, _ in metric.ListFields() if field.name != "label"]
            if has != [_FIELDS[kind]]:
                raise ValueError(f"a metric of {family.name}, a {kind}, has {has}")
            labels = [(pair.name, pair.value) for pair in metric.label]
            if len({name for name, _ in labels}) != len(labels):
                raise ValueError(f"{family.name} has a label twice: {labels}")
            _metric(family.name, kind, labels, getattr(metric, _FIELDS[kind]), normal)
    return normal


def _metric(name: str, kind: str, labels: list[tuple[str, str]], value, normal: Normal) -> None:
    if kind in ("GAUGE", "UNTYPED", "COUNTER"):
        if not value.HasField("value"):
            raise ValueError(f"{name}{labels} has no value")
        normal.add(name, labels, value.value)
        if kind == "COUNTER" and not 0 <= value.value < math.inf:
            raise ValueError(f"{name}{labels} is {value.value}")
    else:
        if kind == "SUMMARY":
            for q in value.quantile:
                normal.add(name, [*labels, ("quantile", canonical(q.quantile))], q.value)
        else:
            _buckets(name, labels, value, normal)
            if value.HasField("schema"):
                _native_message(name, labels, value, normal)
        normal.add(f"{name}_sum", labels, value.sample_sum)
        normal.add(f"{name}_count", labels, value.sample_count)
    if kind in ("COUNTER", "SUMMARY", "HISTOGRAM", "GAUGE_HISTOGRAM") and value.HasField("created_timestamp"):
        if kind == "GAUGE_HISTOGRAM":
            raise ValueError(f"{name}{labels} is a gauge and has a start")
        at = value.created_timestamp
        if not 0 <= at.nanos < 1_000_000_000:
            raise ValueError(f"{name}{labels} starts at {at}")
        normal.add_created(name.removesuffix("_total" if kind == "COUNTER" else ""), labels, at.seconds + at.nanos / 1e9)


def _native_message(name: str, labels: list[tuple[str, str]], message, normal: Normal) -> None:
    """By the rules that Prometheus has for them."""
    if message.sample_count_float or message.zero_count_float or message.negative_count or message.positive_count:
        raise ValueError(f"{name}{labels} is a native histogram of floats")
    sides = {}
    for sign in ("negative", "positive"):
        spans = [(s.offset, s.length) for s in getattr(message, f"{sign}_span")]
        total, counts = 0, []
        for delta in getattr(message, f"{sign}_delta"):
            counts.append(total := total + delta)
        sides[sign] = (spans, counts)
    empty = not message.zero_threshold and not message.zero_count and not any(counts for _, counts in sides.values())
    if empty != (sides["positive"][0] == [(0, 0)]):
        raise ValueError(f"{name}{labels} is empty, and has the spans {sides}")
    for exemplar in message.exemplars:
        if not exemplar.HasField("timestamp"):
            raise ValueError(f"an exemplar of {name}{labels} has no time")
    _native(name, labels, message.schema, message.zero_threshold, message.zero_count, sides, message.sample_count, normal)


def _native(name, labels, schema, threshold, zero, sides, count, normal: Normal) -> None:  # noqa: PLR0913
    wrong = f"the native histogram {name}{labels}: schema {schema}, zero below {threshold}, {zero} of them, {sides} of {count}"
    if not -4 <= schema <= 8 or not 0 <= threshold < math.inf:
        raise ValueError(wrong)
    normal.add(f"{name}!schema", labels, schema)
    normal.add(f"{name}!zero_threshold", labels, threshold)
    normal.add(f"{name}!zero_count", labels, zero)
    for sign, (spans, counts) in sides.items():
        if sum(length for _, length in spans) != len(counts) or any(offset < 0 for offset, _ in spans[1:]):
            raise ValueError(wrong)
        at, each = 0, iter(counts)
        for offset, length in spans:
            at += offset
            for _ in range(length):
                n = next(each)
                if n < 0:
                    raise ValueError(wrong)
                if n:  # those between two are there to save a span
                    normal.add(f"{name}!{sign}", [*labels, ("index", str(at))], n)
                at += 1
    if zero + sum(sum(counts) for _, counts in sides.values()) != count:
        raise ValueError(wrong)


def _buckets(name: str, labels: list[tuple[str, str]], histogram, normal: Normal) -> None:
    buckets = [(b.upper_bound, b.cumulative_count) for b in histogram.bucket]
    if not buckets or buckets[-1][0] != math.inf:  # it may be left out
        buckets.append((math.inf, histogram.sample_count))
    _rising(name, labels, buckets, histogram.sample_count)
    for bound, count in buckets:
        normal.add(f"{name}_bucket", [*labels, ("le", canonical(bound))], count)


def _rising(name: str, labels: object, buckets: list[tuple[float, int]], count: int) -> None:
    bounds, counts = [b for b, _ in buckets], [n for _, n in buckets]
    if bounds != sorted(set(bounds)):
        raise ValueError(f"{name}{labels} has the bounds {bounds}")
    if counts != sorted(counts) or counts[-1] != count:
        raise ValueError(f"{name}{labels} has the buckets {counts} and the count {count}")


# OpenMetrics 2.0.0: there is no other program yet that reads the release candidate as it is, so
# this one is our own. It takes only what a producer should write: of two ways to say something, the
# usual one.
_PLAIN = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_TEXT = r'(?:[^"\\\n]|\\[\\"n])*'
_QUOTED = rf'"(?!{_PLAIN}"){_TEXT}"'
_NAME = rf"(?:{_PLAIN}|{_QUOTED})"
_LABEL_NAME = rf'(?:[a-zA-Z_][a-zA-Z0-9_]*|"(?![a-zA-Z_][a-zA-Z0-9_]*"){_TEXT}")'
_LABEL = rf'{_LABEL_NAME}="{_TEXT}"'
_INTEGER = r"-?(?:0|[1-9][0-9]*)"
_FLOAT = rf"{_INTEGER}(?:\.[0-9]+(?:e[+-][0-9]+)?|e[+-][0-9]+)"
_NUMBER = rf"(?:{_FLOAT}|{_INTEGER}|NaN|[+-]Inf)"
_START = re.compile(r" st@([0-9]+\.[0-9]+)$")
_LABELS = rf"(?:{_LABEL})(?:,{_LABEL})*"
_LINE = re.compile(rf"(?:({_PLAIN})(?:\{{({_LABELS})\}})?|\{{({_QUOTED})(?:,({_LABELS}))?\}}) (.+)")
_ONE_LABEL = re.compile(rf'({_LABEL_NAME})="({_TEXT})"')
_SIDE = r"(?:,{0}_spans:\[(-?[0-9]+:[0-9]+(?:,[0-9]+:[0-9]+)*)\],{0}_buckets:\[([0-9]+(?:,[0-9]+)*)\])?"
_NATIVE = (
    rf"schema:(-?[0-9]+),zero_threshold:({_FLOAT}),zero_count:([0-9]+)"
    + _SIDE.format("negative") + _SIDE.format("positive")
)  # fmt: skip
_BUCKETS = re.compile(
    rf"\{{(g?)count:([0-9]+),(g?)sum:({_NUMBER})(?:,{_NATIVE})?(?:,bucket:\[((?:{_FLOAT}:[0-9]+,)*\+Inf:[0-9]+)\])?\}}"
)
_SUMMARY = re.compile(rf"\{{count:([0-9]+),sum:({_NUMBER}),quantile:\[((?:{_FLOAT}:{_NUMBER},?)*)\]\}}")
_DESCRIPTOR = re.compile(rf"# (TYPE|UNIT|HELP) ({_NAME}) (.+)", re.DOTALL)
_TYPES2 = ("counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown")
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def _plain(text: str) -> str:
    return re.sub(r"\\.", lambda escape: _ESCAPES[escape[0]], text)


def _name(text: str) -> str:
    return _plain(text[1:-1]) if text.startswith('"') else text


def openmetrics2(page: bytes) -> Normal:
    normal = Normal()
    text = page.decode()
    if not text.endswith("# EOF\n"):
        raise ValueError("the page does not end in # EOF")
    name, about, order = "", {}, []

    def end() -> None:
        if name:
            normal.add_family(name, about["TYPE"], about.get("HELP", ""), about.get("UNIT", ""))

    for line in text.removesuffix("# EOF\n").split("\n")[:-1]:
        if line.startswith("#"):
            descriptor = _DESCRIPTOR.fullmatch(line)
            if not descriptor:
                raise ValueError(f"this line: {line!r}")
            what, of, rest = descriptor.groups()
            of = _name(of)
            if what == "TYPE":
                end()
                name, about, order = of, {}, []
                if rest not in _TYPES2 or (rest == "info" and not of.endswith("_info")):
                    raise ValueError(f"{of} has the type {rest}")
            if of != name or "sample" in about or ("TYPE", "UNIT", "HELP").index(what) < len(order):
                raise ValueError(f"a second or late line: {line!r}")
            if what == "HELP" and not re.fullmatch(_TEXT, rest):
                raise ValueError(f"this line is not escaped: {line!r}")
            if what == "UNIT" and (not re.fullmatch("[a-zA-Z0-9_:]+", rest) or about["TYPE"] in ("info", "stateset")):
                raise ValueError(f"this unit: {line!r}")
            order = ("TYPE", "UNIT", "HELP")[: ("TYPE", "UNIT", "HELP").index(what) + 1]
            about[what] = _plain(rest) if what == "HELP" else rest
            continue
        about["sample"] = ""
        sample = _LINE.fullmatch(line)
        if not sample or _name(sample[1] or sample[3]) != name:
            raise ValueError(f"this line does not belong to {name or 'any family'}: {line!r}")
        labels = [(_name(k), _plain(v)) for k, v in _ONE_LABEL.findall(sample[2] or sample[4] or "")]
        if len({k for k, _ in labels}) != len(labels):
            raise ValueError(f"a label twice: {line!r}")
        value = sample[5]
        if start := _START.search(value):
            if about["TYPE"] not in _CUMULATIVE:
                raise ValueError(f"a {about['TYPE']} has a start: {line!r}")
            base = name.removesuffix("_total" if about["TYPE"] == "counter" else "")
            normal.add_created(base, labels, float(start[1]))
            value = value[: start.start()]
        _value2(name, about["TYPE"], labels, value, normal)
    end()
    return normal


def _value2(name: str, kind: str, labels: list[tuple[str, str]], value: str, normal: Normal) -> None:
    wrong = ValueError(f"{name}{labels}, a {kind}, is {value}")
    if kind in ("histogram", "gaugehistogram"):
        parts = _BUCKETS.fullmatch(value)
        if not parts or parts[1] != parts[3] or (parts[1] == "g") != (kind == "gaugehistogram"):
            raise wrong
        if parts[5]:
            sides = {}
            for sign, spans, counts in (("negative", parts[8], parts[9]), ("positive", parts[10], parts[11])):
                pairs = [tuple(map(int, span.split(":"))) for span in spans.split(",")] if spans else []
                sides[sign] = pairs, [int(n) for n in counts.split(",")] if counts else []
                if 0 in sides[sign][1]:
                    raise wrong
            _native(name, labels, int(parts[5]), float(parts[6]), int(parts[7]), sides, int(parts[2]), normal)
        elif not parts[12]:
            raise wrong
        # One that is only native has one classic bucket in all other formats.
        pairs = [pair.split(":") for pair in (parts[12] or f"+Inf:{parts[2]}").split(",")]
        if any(le != canonical(float(le)) for le, _ in pairs):
            raise wrong
        _rising(name, labels, [(float(le), int(n)) for le, n in pairs], int(parts[2]))
        for le, n in pairs:
            normal.add(f"{name}_bucket", [*labels, ("le", le)], int(n))
        normal.add(f"{name}_sum", labels, float(parts[4]))
        normal.add(f"{name}_count", labels, int(parts[2]))
    elif kind == "summary":
        parts = _SUMMARY.fullmatch(value)
        if not parts:
            raise wrong
        normal.add(f"{name}_sum", labels, float(parts[2]))
        normal.add(f"{name}_count", labels, int(parts[1]))
        for q, v in (pair.split(":") for pair in parts[3].split(",") if pair):
            normal.add(name, [*labels, ("quantile", q)], float(v))
    else:
        if not re.fullmatch(_NUMBER, value):
            raise wrong
        number = float(value)
        if (
            (kind == "counter" and not 0 <= number < math.inf)
            or (kind == "info" and value != "1")
            or (kind == "stateset" and (value not in ("0", "1") or name not in dict(labels)))
            or (kind in ("gauge", "unknown") and re.fullmatch(_INTEGER, value))
        ):
            raise wrong
        normal.add(name, labels, number)
