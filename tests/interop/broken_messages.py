"""A good page in protobuf, and such that are wrong, each in one way."""

from __future__ import annotations

from collections.abc import Callable

from metric_family import TYPES, MetricFamily, serialize


def _family(name: str, kind: str, **fields: str):
    return MetricFamily(name=name, type=TYPES.index(kind), **fields)


def good() -> list:
    requests = _family("requests_total", "COUNTER", help="Requests served.")
    for path, value in (("/", 3), ("/a b", 4.5)):
        metric = requests.metric.add()
        metric.label.add(name="path", value=path)
        metric.counter.value = value
        metric.counter.created_timestamp.seconds = 1520430000
    depth = _family("depth", "GAUGE")
    depth.metric.add().gauge.value = 2.5
    latency = _family("latency_seconds", "HISTOGRAM", unit="seconds")
    histogram = latency.metric.add().histogram
    histogram.sample_count, histogram.sample_sum = 3, 4.25
    for bound, count in ((0.5, 1), (1.0, 2)):
        histogram.bucket.add(upper_bound=bound, cumulative_count=count)
    return [requests, depth, latency]


def _broken(change: Callable[[list], object]) -> bytes:
    families = good()
    change(families)
    return serialize(families)


def _set(of: object, name: str, value: object) -> None:
    setattr(of, name, value)


GOOD = serialize(good())
_LABEL = b"\x0a\x04path\x12\x01/"
assert _LABEL in GOOD
DECODER, GATEWAY = "decoder", "Pushgateway"  # the newer one
BROKEN: dict[str, tuple[bytes, set[str]]] = {
    "the last byte missing": (GOOD[:-1], {DECODER, GATEWAY}),
    "half a family": (GOOD[: len(GOOD) // 2], {DECODER, GATEWAY}),
    "a byte too many": (GOOD + b"\x05", {DECODER, GATEWAY}),
    "a wrong length": (bytes([GOOD[0] + 1]) + GOOD[1:], {DECODER, GATEWAY}),
    "a text page": (b"# TYPE depth gauge\ndepth 2.5\n", {DECODER, GATEWAY}),
    "a label that is not UTF-8": (GOOD.replace(_LABEL, _LABEL[:-1] + b"\xff"), {DECODER, GATEWAY}),
    "a field that there is not": (GOOD + b"\x03\x98\x06\x01", {DECODER}),
    "a type that there is not": (_broken(lambda f: None).replace(b"depth\x18\x01", b"depth\x18\x63"), {DECODER, GATEWAY}),
    "another type than the values": (_broken(lambda f: _set(f[1], "type", 0)), {DECODER, GATEWAY}),
    "no name": (_broken(lambda f: _set(f[1], "name", "")), {DECODER, GATEWAY}),
    "no metrics": (_broken(lambda f: f[1].ClearField("metric")), {DECODER}),
    "no value": (_broken(lambda f: f[1].metric[0].gauge.ClearField("value")), {DECODER}),
    "a family twice": (_broken(lambda f: f.append(f[1])), {DECODER}),
    "a series twice": (_broken(lambda f: f[1].metric.add().gauge.CopyFrom(f[1].metric[0].gauge)), {DECODER, GATEWAY}),
    "a label twice": (_broken(lambda f: f[0].metric[0].label.add(name="path", value="b")), {DECODER}),
    "a negative counter": (_broken(lambda f: _set(f[0].metric[0].counter, "value", -1)), {DECODER}),
    "a falling bucket": (_broken(lambda f: _set(f[2].metric[0].histogram.bucket[0], "cumulative_count", 3)), {DECODER}),
    "a bucket above the count": (_broken(lambda f: _set(f[2].metric[0].histogram, "sample_count", 1)), {DECODER}),
    "bounds that are not in order": (_broken(lambda f: _set(f[2].metric[0].histogram.bucket[0], "upper_bound", 2)), {DECODER}),
    "a start of more than a second": (_broken(lambda f: _set(f[0].metric[0].counter.created_timestamp, "nanos", 1_000_000_000)), {DECODER}),
    "a number that is off by one bit": (_broken(lambda f: _set(f[1].metric[0].gauge, "value", 2.5000000000000004)), {"model"}),
    "another help": (_broken(lambda f: _set(f[0], "help", "Requests.")), {"model"}),
    "a start missing": (_broken(lambda f: f[0].metric[0].counter.ClearField("created_timestamp")), {"model"}),
    "a series missing": (_broken(lambda f: f[0].metric.pop()), {"model"}),
}  # fmt: skip
