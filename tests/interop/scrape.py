"""A real Prometheus scrapes the demo's server while it is under load and its workers are being killed.

SCRAPE_SECONDS (60) is the time under load.
"""

from __future__ import annotations

import math
import os
import time
import unittest

import oracles
from daemons import Prometheus, exporter, request
from harness import main, needs
from prefork import LANGUAGES, WORKERS_PER_LANGUAGE, Demo
from wrong_target import WrongTarget

SCRAPE_SECONDS = float(os.environ.get("SCRAPE_SECONDS", "60"))
WATCHDOG_SECONDS = 30
# Prometheus puts a scrape's timestamp on the beat of its interval if it is this near.
TIMESTAMP_TOLERANCE = 0.002
RATE_TOLERANCE = 0.25

TROUBLES = (
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "prometheus_target_scrapes_sample_out_of_order_total",
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "prometheus_target_scrapes_exceeded_body_size_limit_total",
)
CUMULATIVE = '{job=~"master|serve",__name__=~".+_(total|bucket|count|sum)"}'


def complaints(prometheus: Prometheus) -> list[str]:
    """What Prometheus says of its targets, in its log and in its own metrics."""
    own = prometheus.own_metrics()
    counted = [f"{name} {own.get(name)}" for name in TROUBLES if own.get(name) != 0]
    return counted + [line for line in prometheus.log().splitlines() if "level=warn" in line or "level=error" in line]


def wait_for_scrapes(prometheus: Prometheus, jobs: list[str], since: float) -> None:
    """Until each target has been scraped after a moment."""
    deadline = time.monotonic() + WATCHDOG_SECONDS
    while True:
        last = {r["metric"]["job"]: float(r["value"][1]) for r in prometheus.query("timestamp(up)")}
        if all(last.get(job, 0) > since + TIMESTAMP_TOLERANCE for job in jobs):
            return
        assert time.monotonic() < deadline, f"no scrape of {jobs} since {since}, but at {last}"
        time.sleep(0.1)


@needs(Prometheus.program)
class Scrape(unittest.TestCase):
    """The master renders for one job, `shmetrics serve` for the other."""

    JOBS = ["master", "serve"]

    @classmethod
    def setUpClass(cls) -> None:
        cls.demo = cls.enter(Demo(f"scrape-{os.getpid()}"))
        cls.ports = [cls.demo.server.metrics_port, cls.enter(exporter(cls.demo.segment))]
        cls.prometheus = cls.enter(Prometheus(dict(zip(cls.JOBS, cls.ports))))
        # With this feature it asks for protobuf.
        cls.protobuf = cls.enter(Prometheus({"protobuf": cls.ports[1]}, "--enable-feature=native-histograms"))
        wait_for_scrapes(cls.prometheus, cls.JOBS, time.time())
        wait_for_scrapes(cls.protobuf, ["protobuf"], time.time())
        cls.start = time.time()
        cls.demo.run_load(SCRAPE_SECONDS)
        cls.load_end = time.time()
        cls.wait_until_idle()
        wait_for_scrapes(cls.prometheus, cls.JOBS, time.time())
        wait_for_scrapes(cls.protobuf, ["protobuf"], time.time())
        cls.window = math.ceil(time.time() - cls.start) + 2
        kills = sum(cls.demo.server.kills.values())
        last = cls.demo.seen[-1]
        print(f"{last.answered} answered, {last.failed} cut off, {kills} workers killed in {SCRAPE_SECONDS:g} s")

    @classmethod
    def enter(cls, context):
        entered = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return entered

    @classmethod
    def wait_until_idle(cls) -> None:
        """An answer is out a moment before its worker has taken note of that."""
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while any(s.value for m in cls.page() if m.name == "http_requests_in_progress" for s in m.samples):
            assert time.monotonic() < deadline, "requests are in progress without a client"
            time.sleep(0.02)

    @staticmethod
    def raw_page(port: int) -> bytes:
        return request(f"http://127.0.0.1:{port}/metrics")[1].encode()

    @classmethod
    def page(cls) -> list:
        return oracles.parse(cls.raw_page(cls.ports[0]))

    def over_the_window(self, expression: str) -> list[float]:
        """An expression's values, one for each series; in it, `W` is the whole run."""
        values = self.prometheus.values(expression.replace("W", f"{self.window}s"))
        self.assertTrue(values, f"no series for {expression}")
        return values

    def history(self, expression: str) -> dict[float, float]:
        """The samples as scraped, by their timestamps; series of one time are added up."""
        sums: dict[float, float] = {}
        for series in self.prometheus.query(f"{expression}[{self.window}s]"):
            for at, value in series["values"]:
                sums[float(at)] = sums.get(float(at), 0.0) + float(value)
        return sums

    def test_the_server_took_the_kills_and_nothing_else(self) -> None:
        self.assertEqual(dict(self.demo.server.deaths), {}, "workers that died by themselves")
        self.assertEqual(self.demo.load.wrong(), [])
        self.assertGreater(sum(self.demo.server.kills.values()), 0)
        self.assertGreater(self.demo.seen[-1].answered, 0)

    def test_every_scrape_succeeded(self) -> None:
        for job in self.JOBS:
            self.assertEqual(self.over_the_window(f'min_over_time(up{{job="{job}"}}[W])'), [1], job)
            # A busy machine may skip some beats.
            self.assertGreater(self.over_the_window(f'count_over_time(up{{job="{job}"}}[W])')[0], SCRAPE_SECONDS / 2)

    def test_prometheus_has_nothing_to_complain_about(self) -> None:
        self.assertEqual(complaints(self.prometheus), [])

    def test_what_it_asks_for_it_gets(self) -> None:
        """OpenMetrics has a counter's family without its suffix, protobuf has it with."""
        for job in self.JOBS:
            self.assertEqual(self.prometheus.metadata(job)["http_requests"][0], "counter", job)
        metadata = self.protobuf.metadata("protobuf")
        self.assertEqual(metadata["http_requests_total"][0], "counter")
        self.assertEqual(metadata["http_request_duration_seconds"][0], "histogram")

    def test_protobuf_is_scraped_as_well(self) -> None:
        ups = f'min_over_time(up{{job="protobuf"}}[{self.window}s])'
        self.assertEqual(self.protobuf.values(ups), [1])
        self.assertEqual(complaints(self.protobuf), [])
        for expression in ("sum(http_requests_total)", "sum(http_request_duration_seconds_bucket)"):
            serve = expression.replace(")", '{job="serve"})')
            self.assertEqual(self.protobuf.values(expression), self.prometheus.values(serve), expression)
        for series in self.protobuf.query(f"resets(http_requests_total[{self.window}s])"):
            self.assertEqual(float(series["value"][1]), 0, series["metric"])

    def test_nothing_that_is_cumulative_ever_fell(self) -> None:
        names = [
            series["metric"]["__name__"] for series in self.prometheus.query(f"count by (__name__) ({CUMULATIVE})")
        ]
        self.assertIn("http_requests_total", names)
        self.assertIn("http_request_duration_seconds_bucket", names)
        for name in names:
            for series in self.prometheus.query(f'resets({name}{{job=~"master|serve"}}[{self.window}s])'):
                self.assertEqual(float(series["value"][1]), 0, f"resets of {name} {series['metric']}")

    def test_each_page_is_well_formed(self) -> None:
        """Prometheus keeps quiet about some of what is not: a series twice on a page, for one."""
        for port in self.ports:
            self.assertEqual(oracles.structure_problems(self.raw_page(port)), [])
            self.assertEqual(oracles.promtool_problems(self.raw_page(port)), [])

    def test_every_scrape_has_what_the_clients_were_answered(self) -> None:
        """A scrape has every request that was answered before it, and none that was never sent."""
        for job in self.JOBS:
            counted = self.history(f'http_requests_total{{job="{job}"}}')
            took = self.history(f'scrape_duration_seconds{{job="{job}"}}')
            self.assertGreater(len(counted), SCRAPE_SECONDS / 2)
            for at, value in counted.items():
                least, most = self.demo.counted(at - TIMESTAMP_TOLERANCE, at + TIMESTAMP_TOLERANCE + took[at])
                if not least <= value <= most:
                    self.fail(f"{job}: {value:g} requests at {at}, when the clients had seen {least} to {most}")

    def test_the_first_and_last_samples_are_exact(self) -> None:
        """At rest, the page has what was answered, and at most those besides whose workers were killed."""
        last = self.demo.seen[-1]
        for job in self.JOBS:
            history = self.history(f'http_requests_total{{job="{job}"}}')
            rested = [value for at, value in history.items() if at > self.load_end + TIMESTAMP_TOLERANCE]
            self.assertTrue(rested, "no scrape after the load")
            self.assertEqual(min(rested), max(rested), "counted without a request")
            before = [value for at, value in history.items() if at < self.start - TIMESTAMP_TOLERANCE]
            self.assertEqual(sum(before), 0, "counted before the first request")
            self.assertGreaterEqual(rested[-1], last.answered, job)
            self.assertLessEqual(rested[-1], last.answered + last.failed, job)
            shown = sum(s.value for m in self.page() if m.name == "http_requests" for s in m.samples)
            self.assertEqual(rested[-1], shown, "Prometheus and the page disagree")

    def test_rates_are_those_of_the_clients(self) -> None:
        end = self.load_end - 2
        seconds = int(max(5, SCRAPE_SECONDS / 2))
        at = {s.ended: s.answered for s in self.demo.seen}
        first, last = (max(t for t in at if t <= moment) for moment in (end - seconds, end))
        answered = (at[last] - at[first]) / (last - first)
        for job in self.JOBS:
            rate = self.prometheus.values(f'sum(rate(http_requests_total{{job="{job}"}}[{seconds}s]))', end)[0]
            self.assertAlmostEqual(rate, answered, delta=answered * RATE_TOLERANCE)

    def test_quantiles_are_finite_and_true(self) -> None:
        buckets = "sum by (le, job) (rate(http_request_duration_seconds_bucket[W]))"
        for q in (0.01, 0.5, 0.95, 0.99):
            for value in self.over_the_window(f"histogram_quantile({q}, {buckets})"):
                self.assertTrue(0 < value < math.inf, f"quantile {q} is {value}")
        slow = 'sum by (le, job) (http_request_duration_seconds_bucket{path="/slow"})'
        for value in self.over_the_window(f"histogram_quantile(0.01, {slow})"):
            self.assertGreaterEqual(value, 0.005, "/slow sleeps for 5 ms")

    def test_histograms_agree_with_the_counters(self) -> None:
        """A request is counted first and observed next, so that only a kill can set them apart for good."""
        for job in self.JOBS:
            counted, observed, in_buckets = (
                self.over_the_window(f'sum({name}{{job="{job}"{le}}})')[0]
                for name, le in (
                    ("http_requests_total", ""),
                    ("http_request_duration_seconds_count", ""),
                    ("http_request_duration_seconds_bucket", ',le="+Inf"'),
                )
            )
            self.assertEqual(in_buckets, observed)
            self.assertLessEqual(observed, counted)
            self.assertLessEqual(counted - observed, self.demo.seen[-1].failed)

    def test_in_progress_is_sane(self) -> None:
        gauge = 'http_requests_in_progress{job=~"master|serve"}'
        self.assertEqual(len(self.over_the_window(gauge)), len(LANGUAGES) * len(self.JOBS))
        self.assertEqual(set(self.over_the_window(gauge)), {0.0}, "in progress at rest")
        self.assertGreaterEqual(min(self.over_the_window(f"min_over_time({gauge}[W])")), 0)
        self.assertLessEqual(max(self.over_the_window(f"max_over_time({gauge}[W])")), WORKERS_PER_LANGUAGE)
        self.assertGreater(max(self.over_the_window(f"max_over_time({gauge}[W])")), 0, "never anything in progress")


@needs(Prometheus.program)
class Calibration(unittest.TestCase):
    """What the tests above ask Prometheus does tell a wrong target from a right one."""

    def test_a_wrong_target_is_noticed(self) -> None:
        with WrongTarget() as target, Prometheus({"wrong": target.port}) as prometheus:
            deadline = time.monotonic() + WATCHDOG_SECONDS
            while target.scrapes < 6:
                self.assertLess(time.monotonic(), deadline, "no scrapes")
                time.sleep(0.1)
            wait_for_scrapes(prometheus, ["wrong"], time.time())
            self.assertEqual(prometheus.values("min_over_time(up[1m])"), [0])
            self.assertGreater(prometheus.values("resets(falling_total[1m])")[0], 0)
            said = complaints(prometheus)
            for trouble in ("duplicate_timestamp", "out_of_order", "level=warn"):
                self.assertTrue(any(trouble in line for line in said), f"{trouble} is not in {said}")


if __name__ == "__main__":
    main()
