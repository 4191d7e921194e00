"""`shmetrics push`: a random registry through real Pushgateways, and as OTLP through Google's protobuf runtime and VictoriaMetrics.

PUSH_PAGES (4) is the number of registries.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import threading
import unittest
from collections.abc import Iterator
from email.message import Message

import decoders
import shm
from daemons import NewerPushgateway, Pushgateway, VictoriaMetrics, NEWER, request
from harness import main, needs
from normal import Normal, key
from oracles import OWN, same_value
from play import perform
from registries import random_script
from targets import Server

PAGES = int(os.environ.get("PUSH_PAGES", "4"))
WATCHDOG_SECONDS = 60
CUMULATIVE = 2


def shmetrics(*arguments: str) -> tuple[int, str]:
    """The exit status, and what was said."""
    command = [str(shm.RELEASE / "shmetrics"), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG_SECONDS, check=False)
    return ran.returncode, ran.stdout + ran.stderr


@contextlib.contextmanager
def registry(seed: int) -> Iterator[tuple[str, shm.Segment]]:
    """A segment with a random registry in it, and its name."""
    name = f"push-{os.getpid()}-{seed}"
    script = random_script(seed, families=20, processes=1)
    segment = shm.Segment(name, how=shm.CREATE_NEW, labels=script.fixed)
    try:
        perform(script, segment)
        yield name, segment
    finally:
        shm.remove(name)


def pushed_value(a: float, b: float) -> bool:
    """Go's text has no negative zero."""
    return a == b or same_value(a, b)


def stored_value(a: float, b: float) -> bool:
    """VictoriaMetrics stores decimals, of what comes by OTLP with 12 digits."""
    return a == b or math.isclose(a, b, rel_tol=1e-11, abs_tol=1e-300)


def differences(expected: dict, found: dict, same=same_value) -> list[str]:
    problems = [f"{k} should be there" for k in expected.keys() - found.keys()]
    problems += [f"{k} should not be there" for k in found.keys() - expected.keys()]
    both = expected.keys() & found.keys()
    return problems + [f"{k} should be {expected[k]}, and is {found[k]}" for k in both if not same(expected[k], found[k])]


def wait_for(condition):
    """What it returns, once that is something; or the last of it."""
    deadline = threading.Event()
    for _ in range(600):
        found = condition()
        if found:
            return found
        deadline.wait(0.1)
    return found


class ToPushgateway(unittest.TestCase):
    gateway = Pushgateway
    formats = ([],)  # its protobuf does not know of gauge histograms

    @classmethod
    def setUpClass(cls) -> None:
        cls.running = cls.gateway()
        cls.running.__enter__()
        cls.addClassCleanup(cls.running.__exit__, None, None, None)
        cls.url = cls.running.url("")

    def pulled(self) -> Normal:
        return self.running._pulled(decoders.text, "text/plain; version=0.0.4")

    def test_what_is_pushed_is_there(self) -> None:
        for seed in range(PAGES):
            for format in self.formats:
                with self.subTest(seed=seed, format=format), registry(seed) as (name, segment):
                    expected = decoders.text(segment.render()).without(OWN)
                    self.assertEqual(shmetrics("push", name, "--gateway", self.url, "--job", "interop", *format), (0, ""))
                    self.assertEqual(differences(expected.samples, self.pulled().samples, pushed_value), [])
                    gone = shmetrics("push", "--gateway", self.url, "--job", "interop", "--method", "delete")
                    self.assertEqual((gone, self.pulled().samples), ((0, ""), {}))

    def test_groups(self) -> None:
        groups = {"g_path": "/var/tmp", "g_empty": "", "g_name": "Προμηθεύς", "g_percent": "50%", "g_dots": "..", "g_plain": "a-b.c~"}
        arguments = [part for pair in groups.items() for part in ("--group", "=".join(pair))]
        with registry(0) as (name, _):
            self.assertEqual(shmetrics("push", name, "--gateway", self.url, "--job", "a/b", *arguments), (0, ""))
        status, answer = request(self.running.url("/api/v1/metrics"))
        self.assertEqual(status, 200)
        self.assertIn({"job": "a/b", **groups}, [group["labels"] for group in json.loads(answer)["data"]])
        gone = shmetrics("push", "--gateway", self.url, "--job", "a/b", "--method", "delete", *arguments)
        self.assertEqual((gone, json.loads(request(self.running.url("/api/v1/metrics"))[1])["data"]), ((0, ""), []))

    def test_put_replaces_and_post_adds(self) -> None:
        with registry(1) as (name, segment):
            expected = decoders.text(segment.render()).without(OWN).samples
            families = sorted({k[0] for k in expected if not k[0].endswith(("_bucket", "_sum", "_count"))})[:2]
            for method, shown in (("put", 1), ("post", 2), ("put", 1)):
                family = families[0 if shown == 1 else 1]
                arguments = ("--job", "interop", "--method", method, "--metric", family)
                self.assertEqual(shmetrics("push", name, "--gateway", self.url, *arguments), (0, ""))
                self.assertEqual(len({k[0] for k in self.pulled().samples}), shown, method)
            shmetrics("push", "--gateway", self.url, "--job", "interop", "--method", "delete")


class ToNewerPushgateway(ToPushgateway):
    gateway = NewerPushgateway
    formats = ([], ["--protobuf"])


ToPushgateway = needs(Pushgateway.program)(ToPushgateway)
ToNewerPushgateway = needs(NewerPushgateway.program)(ToNewerPushgateway)


class Receiver(Server):
    """Takes what OTLP exporters send, and decodes it by Google's runtime."""

    def __init__(self) -> None:
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

        super().__init__()
        self._service, self.requests = metrics_service_pb2, []
        self.url = f"http://127.0.0.1:{self.port}"

    def request(self, path: str, headers: Message, body: bytes) -> tuple[str, bytes]:
        self.requests.append(self._service.ExportMetricsServiceRequest.FromString(body))
        return "application/x-protobuf", self._service.ExportMetricsServiceResponse().SerializeToString()

    def samples(self) -> dict:
        """As a page of text has them."""
        normal = Normal()
        for request_ in self.requests:
            for resource in request_.resource_metrics:
                for metric in resource.scope_metrics[0].metrics:
                    if not metric.name.startswith(OWN):
                        for sample in _samples(metric):
                            normal.add(*sample)
        return normal.samples


def _samples(metric) -> Iterator[tuple]:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    assert kind in ("gauge", "summary") or data.aggregation_temporality == CUMULATIVE, metric
    for point in data.data_points:
        labels = [(a.key, a.value.string_value) for a in point.attributes]
        assert kind == "gauge" or 0 < point.start_time_unix_nano <= point.time_unix_nano, metric
        if kind in ("gauge", "sum"):
            yield metric.name, labels, getattr(point, point.WhichOneof("value"))
            continue
        yield f"{metric.name}_count", labels, point.count
        if kind == "summary" or point.HasField("sum"):
            yield f"{metric.name}_sum", labels, point.sum
        if kind == "summary":
            for quantile in point.quantile_values:
                yield metric.name, [*labels, ("quantile", str(quantile.quantile))], quantile.value
        if kind == "exponential_histogram":
            yield f"{metric.name}!schema", labels, point.scale
            yield f"{metric.name}!zero_threshold", labels, point.zero_threshold
            yield f"{metric.name}!zero_count", labels, point.zero_count
            total = point.zero_count
            for sign in ("positive", "negative"):
                side = getattr(point, sign)
                total += sum(side.bucket_counts)
                for i, count in enumerate(side.bucket_counts):
                    if count:
                        yield f"{metric.name}!{sign}", [*labels, ("index", str(side.offset + i + 1))], count
            assert total == point.count, metric
        if kind == "histogram":
            assert len(point.bucket_counts) == len(point.explicit_bounds) + 1, metric
            total = 0
            for count, bound in zip(point.bucket_counts, [*point.explicit_bounds, math.inf]):
                total += count
                yield f"{metric.name}_bucket", [*labels, ("le", str(bound))], total
            assert total == point.count, metric


def expected_of(segment: shm.Segment) -> dict:
    """What OTLP can say of a page of protobuf: no gauge histograms, no sums that may fall, native buckets instead of classic ones."""
    page = decoders.protobuf(segment.page(shm.exposition("protobuf"))).without(OWN)
    samples = page.samples
    left_out = {name for name, about in page.families.items() if about[0] == "GAUGE_HISTOGRAM"}
    histograms = {name for name, about in page.families.items() if about[0] == "HISTOGRAM"}
    falling = {k[0].removesuffix("_bucket") for k in samples if float(dict(k[1]).get("le", 0)) < 0 and k[0].endswith("_bucket")}
    native = native_of(samples)
    negative = {(k[0].split("!")[0], k[1] - {p for p in k[1] if p[0] == "index"}) for k in samples if k[0].endswith("!negative")}

    def is_said(at: tuple, value: float) -> bool:
        base = at[0].split("!")[0]
        family = next((base.removesuffix(s) for s in ("_bucket", "_count", "_sum") if base.removesuffix(s) in page.families), base)
        if family in left_out or "quantile" in dict(at[1]) and math.isnan(value):
            return False
        if family not in histograms:
            return True
        if at[0] == f"{family}_sum":
            falls = (family, at[1]) in negative if family in native else family in falling
            return value >= 0 and not falls
        return at[0] != f"{family}_bucket" or family not in native

    return {at: value for at, value in samples.items() if is_said(at, value)}


def native_of(samples: dict) -> set[str]:
    """The families with native buckets."""
    return {k[0].removesuffix("!schema") for k in samples if k[0].endswith("!schema")}


def at_scales_of(found: dict, expected: dict) -> dict:
    """With buckets put together where they were on the way, since few reach from far below to far above."""
    merged: dict = {}
    for (name, labels), value in expected.items():
        base, _, part = name.partition("!")
        plain = frozenset(p for p in labels if p[0] != "index")
        scale = found.get((f"{base}!schema", plain))
        if part not in ("schema", "positive", "negative") or scale is None:
            merged[name, labels] = value
            continue
        steps = int(expected[f"{base}!schema", plain] - scale)
        if part == "schema":
            merged[name, labels] = value - steps
            continue
        index = -((-int(dict(labels)["index"])) >> steps)
        at = (name, plain | {("index", str(index))})
        merged[at] = merged.get(at, 0) + value
    return merged


class Otlp(unittest.TestCase):
    def test_googles_runtime_reads_the_same(self) -> None:
        try:
            import opentelemetry.proto  # noqa: F401
        except ImportError:
            self.skipTest("opentelemetry-proto is not installed")
        for seed in range(PAGES * 5):
            with self.subTest(seed=seed), registry(seed) as (name, segment), Receiver() as receiver:
                status, said = shmetrics("push", name, "--otlp", receiver.url, "--attribute", "zone=a")
                self.assertEqual(status, 0, said)
                found = receiver.samples()
                self.assertEqual(differences(at_scales_of(found, expected_of(segment)), found), [])
                resource = receiver.requests[0].resource_metrics[0].resource
                attributes = {a.key: a.value.string_value for a in resource.attributes}
                self.assertEqual((attributes["service.name"], attributes["zone"]), (name, "a"))


class NewerVictoriaMetrics(VictoriaMetrics):
    program = str(NEWER / "victoria-metrics")


@needs(NewerVictoriaMetrics.program)
class OtlpToVictoriaMetrics(unittest.TestCase):
    def test_it_stores_the_same(self) -> None:
        with NewerVictoriaMetrics() as database:
            for seed in range(PAGES):
                with self.subTest(seed=seed), registry(seed) as (name, segment):
                    url = database.url("/opentelemetry/v1/metrics")
                    status, said = shmetrics("push", name, "--otlp", url, "--attribute", f"registry={seed}")
                    self.assertEqual(status, 0, said)
                    stored = wait_for(lambda: database.stored(seed).get(seed))  # noqa: B023 - called at once
                    found = {self.plain(k): v for k, v in stored.samples.items() if not k[0].startswith(OWN)}
                    # It stores no NaN.
                    expected = {k: v for k, v in expected_of(segment).items() if not math.isnan(v)}
                    # Native buckets are others there.
                    for family in native_of(expected):
                        for samples in (expected, found):
                            for k in [k for k in samples if k[0].split("!")[0] in (family, f"{family}_bucket")]:
                                del samples[k]
                    self.assertEqual(differences(expected, found, stored_value), [])

    @staticmethod
    def plain(at: tuple) -> tuple:
        """Without the resource's attributes and the scope."""
        added = ("service.name", "service.instance.id", "scope.name", "scope.version")
        return key(at[0], [pair for pair in at[1] if pair[0] not in added])


if __name__ == "__main__":
    main()
