"""Real Prometheus servers scrape one segment in every format, while processes that count in it are being killed.

FORMAT_SCRAPE_SECONDS (6) is the time under load, SEED (0) that of the families that rest meanwhile.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import re
import shutil
import signal
import time
import unittest
from functools import partial

import broken_messages
import broken_pages
import decoders
import normal
import shm
import utf8
from daemons import NewerPrometheus, Prometheus
from harness import main, needs
from model import Registry
from targets import NegotiatingTarget, StaticTarget
from normal import Normal
from oracles import OWN
from play import perform
from processes import child
from registries import random_script
from scrape import WATCHDOG_SECONDS, complaints, wait_for_scrapes

SECONDS, SEED = float(os.environ.get("FORMAT_SCRAPE_SECONDS", "6")), int(os.environ.get("SEED", "0"))
FAMILIES = 40
WRITERS = 3
KILL_SECONDS = (0.05, 0.4)

CONTENT_TYPES = {
    "text": "text/plain; version=0.0.4",
    "text1": "text/plain; version=1.0.0",
    "openmetrics": "application/openmetrics-text; version=1.0.0",
    "protobuf": "application/vnd.google.protobuf",
}
DECODERS = {
    "text": decoders.text, "text1": decoders.text, "openmetrics": decoders.openmetrics, "protobuf": decoders.protobuf,
}  # fmt: skip
# What the server calls the types of protobuf and of text.
TYPES = {"GAUGE_HISTOGRAM": "gaugehistogram", "UNTYPED": "unknown", "untyped": "unknown"}


def write(segment: shm.Segment, writer: int) -> None:
    """At full speed, until it is killed."""
    label = (("writer", "v"), ("writer", "w"))[writer % 2]
    counter = segment.register("counter", "live_turns", "Turns.", ("k", "v")).with_(*label)
    every = segment.register("counter", "live_all_turns", "Turns of all.").with_()
    times = segment.register("histogram", "live_times", "Times.", ("k", "v"), buckets=(0.5, 1.0, 4.0)).with_(*label)
    sizes = segment.register("summary", "live_sizes", "Sizes.", ("k", "v")).with_(*label)
    ages = segment.register("gauge_histogram", "live_ages", "Ages.", buckets=(1.0, 2.0)).with_()
    native = segment.register("histogram", "live_native", "Native.", ("k", "v"), factor=1.1).with_(*label)
    both = segment.register("histogram", "live_both", "Both.", factor=2.0, buckets=(0.5, 3.0)).with_()
    state = segment.register("enum", "live_state", "State.", states=("a", "b", "c")).with_()
    busy = segment.register("gauge", "live_busy", "Busy ones.", mode="livesum").with_()
    values = (0.25, 0.75, 2.0, 8.0)
    turn = 0
    while True:
        busy.update("inc")
        counter.update("inc")
        every.update("add", 0.5)
        times.update("observe", values[turn % 4])
        sizes.update("observe", values[turn % 4])
        native.update("observe", values[turn % 4] * (1 + turn % 1000))
        both.update("observe", values[turn % 4] * (turn % 7 - 1))
        ages.update("observe", values[turn % 4])
        state.update("set", turn % 3)
        ages.update("forget", values[turn % 4])
        busy.update("dec")
        turn += 1
        if turn % 100 == 0:
            time.sleep(0.001)


KNOWN = range(1, 1001)
KNOWN_FACTOR = 1.1


def rest_in_native_histograms(segment: shm.Segment) -> None:
    """Values that are known, each an exemplar."""
    for name, settings in (("known_native", {}), ("known_both", {"buckets": (10.0, 500.0)})):
        series = segment.register("histogram", name, "Known.", factor=KNOWN_FACTOR, **settings).with_()
        for value in KNOWN:
            if value in (11, 501):
                time.sleep(0.02)  # servers take no exemplar that is not later than the last
            series.observe_with_exemplar(value, "trace_id", f"{name}-{value}")


class World:
    """One segment, the processes that count in it, and all servers that scrape it, at once: that takes the least time."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.begin = time.time()
        script = random_script(SEED, families=FAMILIES, processes=1, odd=True)
        script.fixed = (("app.name", 'a"b\\c\nd'),)
        self.segment = shm.Segment(how=shm.ANONYMOUS, labels=script.fixed)
        self.model, _ = perform(script, self.segment)
        rest_in_native_histograms(self.segment)
        self.target = stack.enter_context(NegotiatingTarget(self.segment))
        self._writers: list[int] = []
        stack.callback(self._kill_writers)
        self.servers: dict[type, Prometheus] = {}
        for user in (OpenMetrics, Protobuf, Newer, NewerNative):
            if shutil.which(user.server.program):
                settings = {job: {"metrics_path": user.path(job)} | user.settings.get(job, {}) for job in user.jobs}
                server = user.server(dict.fromkeys(user.jobs, self.target.port), *user.flags, **settings)
                self.servers[user] = stack.enter_context(server)
        self._wait()
        start = time.monotonic()
        kills = self._load()
        self._wait()
        self.window, self.end = math.ceil(time.monotonic() - start) + 2, time.time()
        print(f"{kills} writers killed in {SECONDS:g} s", flush=True)

    def _wait(self) -> None:
        now = time.time()
        for user, server in self.servers.items():
            wait_for_scrapes(server, list(user.jobs), now)

    def _load(self) -> int:
        kills, end = 0, time.monotonic() + SECONDS
        for writer in range(WRITERS):
            self._start_writer(writer)
        while time.monotonic() < end:
            time.sleep(random.uniform(*KILL_SECONDS))
            victim = random.randrange(WRITERS)
            os.kill(self._writers[victim], signal.SIGKILL)
            os.waitpid(self._writers[victim], 0)
            kills += 1
            self._start_writer(victim)
        self._kill_writers()
        return kills

    def _start_writer(self, writer: int) -> None:
        pid = os.fork()
        if pid == 0:
            child(partial(write, self.segment, writer))
        self._writers[writer : writer + 1] = [pid]

    def _kill_writers(self) -> None:
        for pid in self._writers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._writers.clear()


world: World


def setUpModule() -> None:  # noqa: N802 - unittest's name
    global world
    stack = contextlib.ExitStack()
    unittest.addModuleCleanup(stack.close)
    world = World(stack)


class Scraped:
    """What all servers have in common."""

    server: type[Prometheus]
    flags: tuple[str, ...] = ()
    jobs: dict[str, str]  # their formats
    settings: dict[str, dict] = {}
    escapings: dict[str, str] = {"plain": "underscores"}  # what the jobs are given
    mangled: tuple[str, ...] = ()  # types whose samples this server cannot tell apart
    native = False  # whether it takes native histograms

    @classmethod
    def path(cls, job: str) -> str:
        return f"/{cls.__name__}/{job}"

    @classmethod
    def setUpClass(cls) -> None:
        cls.segment, cls.model, cls.target = world.segment, world.model, world.target
        cls.window, cls.end = world.window, world.end
        cls.prometheus = world.servers[cls]

    def scraped(self, job: str) -> Normal:
        found = Normal()
        # The server's own series of a target, and what we say of ourselves, are not the registry's.
        for series in self.prometheus.query(f'{{job="{job}",__name__!~"up|scrape_.*|known_.*|{OWN}.*"}}'):
            labels = {k: v for k, v in series["metric"].items() if k not in ("__name__", "job", "instance")}
            name = series["metric"]["__name__"]
            for kind in ("_gsum", "_gcount"):
                name = name.removesuffix(kind) + kind.replace("g", "") if name.endswith(kind) else name
            if "histogram" in series:
                self.assertTrue(self.native, name)
                add_native(found, name, labels, series["histogram"][1])
            elif not self.is_mangled(name):
                found.add(name, labels.items(), float(series["value"][1]))
        return found

    def as_stored(self, page: Normal, format: str) -> Normal:
        """A page's samples, as this server has them: of native histograms no others, or else no native buckets."""
        if not self.native and format == "protobuf":
            only = {(n.removesuffix("!schema"), k) for n, k in page.samples if n.endswith("!schema")}
            only -= {(n.removesuffix("_bucket"), at) for n, k in page.samples if n.endswith("_bucket")
                     for at in [frozenset(pair for pair in k if pair[0] != "le")] if ("le", "inf") not in k}  # fmt: skip
            # It drops these without a word.
            dropped = {(base + suffix, k) for base, k in only for suffix in ("_sum", "_count")}
            dropped |= {(f"{base}_bucket", k | {("le", "inf")}) for base, k in only}
            return Normal({k: v for k, v in page.classic().samples.items() if k not in dropped})
        if not self.native:
            return Normal(page.classic().samples)
        return with_native_only(page, self.tells_empty_ones)

    def shown(self, job: str) -> Registry:
        """The model with its names as the server was given them."""
        (kind,) = self.target.answered[self.path(job)]
        return utf8.escaped(self.model, utf8.of(kind))

    def is_mangled(self, name: str) -> bool:
        if not self.mangled:
            return False
        shown = self.shown(next(iter(self.jobs)))
        of = {f.shown_name for f in shown.families if f.kind in self.mangled}
        of |= {"live_ages"} if "gauge_histogram" in self.mangled else set()
        return re.sub("_(bucket|sum|count)$", "", name) in of

    def not_mangled(self, samples: dict[normal.Key, float], prefix: str = "") -> dict[normal.Key, float]:
        return {k: v for k, v in samples.items() if k[0].startswith(prefix) and not self.is_mangled(k[0])}

    def test_each_format_was_asked_for(self) -> None:
        for job, format in self.jobs.items():
            types = self.target.answered[self.path(job)]
            self.assertEqual(len(types), 1, types)
            self.assertTrue(next(iter(types)).startswith(CONTENT_TYPES[format]), f"{job}: {types}, {self.target.asked}")

    def test_names_are_quoted_for_who_reads_them(self) -> None:
        for job, escaping in self.escapings.items():
            (kind,) = self.target.answered[self.path(job)]
            self.assertEqual(utf8.of(kind), escaping, f"{job}: {self.target.asked[self.path(job)]}")

    def test_every_scrape_succeeded(self) -> None:
        for job in self.jobs:
            self.assertEqual(self.prometheus.values(f'min_over_time(up{{job="{job}"}}[{self.window}s])', self.end), [1], job)
            count = self.prometheus.values(f'count_over_time(up{{job="{job}"}}[{self.window}s])', self.end)[0]
            self.assertGreater(count, SECONDS / 2, job)

    def test_prometheus_has_nothing_to_complain_about(self) -> None:
        self.assertEqual(complaints(self.prometheus), [])

    def test_what_rested_is_the_model_s(self) -> None:
        for job, format in self.jobs.items():
            with self.subTest(job):
                expected = normal.expected(self.shown(job), format)
                found = Normal({k: v for k, v in self.scraped(job).samples.items() if not k[0].startswith("live_")})
                if job == "created":
                    found.samples = {k: v for k, v in found.samples.items() if not k[0].endswith("_created")}
                expected = Normal(self.not_mangled(self.as_stored(expected, format).samples))
                self.assertEqual(normal.differences(expected, found), [])
                self.assertGreater(len(found.samples), 5 * FAMILIES)

    def test_what_was_written_is_the_page_s(self) -> None:
        for job, format in self.jobs.items():
            with self.subTest(job):
                (kind,) = self.target.answered[self.path(job)]
                decode = decoders.protobuf_utf8 if format == "protobuf" else DECODERS[format]
                page = decode(self.segment.page(shm.exposition(format, escaping=utf8.of(kind))))
                page = self.as_stored(page, format)
                live = {k: v for k, v in self.scraped(job).samples.items() if k[0].startswith("live_")}
                live = {k: v for k, v in live.items() if not k[0].endswith("_created")}
                expected = Normal(self.not_mangled(page.samples, "live_"))
                self.assertEqual("\n".join(normal.differences(expected, Normal(live))), "")
                self.assertIn(normal.key("live_all_turns_total", self.shown(job).fixed), live)

    def test_metadata(self) -> None:
        for job, format in self.jobs.items():
            with self.subTest(job):
                found = self.prometheus.metadata(job)
                wrong = []
                for name, about in normal.expected(self.shown(job), format).families.items():
                    kind, text, *unit = about
                    has = found.get(name) or found.get(name.removesuffix("_total"))
                    # Prometheus 3.5 leaves the escapes in names
                    has = has or found.get(quoted(name)[1:-1])
                    expected = (TYPES.get(kind, kind).lower(), text.strip(), unit[0] if unit else "")
                    has = has and (has[0], has[1].strip(), has[2] if format == "openmetrics" else expected[2])
                    if has != expected:
                        wrong.append(f"{name} should be {expected}, and is {has}")
                self.assertEqual(wrong, [])

    def test_nothing_that_is_cumulative_ever_fell(self) -> None:
        for job in self.jobs:
            names = "live_(all_turns|turns|times|sizes)_(total|bucket|count|sum)|live_native|live_both"
            cumulative = f'{{job="{job}",__name__=~"{names}"}}'
            series = self.prometheus.query(cumulative, self.end)
            self.assertGreater(len(series), 10, job)
            for one in series:
                labels = ",".join(f"{legal(k)}={quoted(v)}" for k, v in one["metric"].items())
                fell = self.prometheus.values(f"resets({{{labels}}}[{self.window}s])", self.end)
                self.assertEqual(fell, [0], f"{job}: {one}")
            grew = self.prometheus.values(f'delta(live_all_turns_total{{job="{job}"}}[{self.window}s])', self.end)
            self.assertGreater(grew[0], 0, "no process wrote: nothing was tested")


class TakesNative:
    """Servers that store native histograms."""

    native = True
    tells_empty_ones = True  # that have no zero bucket

    def test_native_histograms_are_native(self) -> None:
        for name in ("known_native", "known_both", "live_both"):
            (series,) = self.prometheus.query(f'{name}{{job="plain"}}')
            self.assertIn("histogram", series, name)
            self.assertEqual(self.prometheus.query(f'{name}_bucket{{job="plain"}}'), [])

    def test_quantiles_are_right_to_a_bucket(self) -> None:
        for name in ("known_native", "known_both"):
            for q in (0.01, 0.1, 0.5, 0.9, 0.99, 1.0):
                (found,) = self.prometheus.values(f'histogram_quantile({q}, {name}{{job="plain"}})')
                exact = KNOWN[math.ceil(q * len(KNOWN)) - 1]
                self.assertLessEqual(max(found / exact, exact / found), KNOWN_FACTOR, f"{name}: {q} is {found}, not {exact}")
            (count,) = self.prometheus.values(f'histogram_count({name}{{job="plain"}})')
            self.assertEqual(count, len(KNOWN))
            (total,) = self.prometheus.values(f'histogram_sum({name}{{job="plain"}})')
            self.assertEqual(total, sum(KNOWN))

    def test_exemplars_are_answered(self) -> None:
        begin = world.begin - 1  # exemplars' times are of a clock that ticks every few milliseconds
        for name, least in self.with_exemplars.items():
            found = self.prometheus.exemplars(f'{{__name__=~"{name}(_bucket)?"}}', begin, time.time())
            exemplars = [e for series in found for e in series["exemplars"]]
            self.assertGreaterEqual(len(exemplars), least, name)
            for exemplar in exemplars:
                self.assertEqual(exemplar["labels"]["trace_id"], f"{name}-{float(exemplar['value']):g}")


def add_native(normal: Normal, name: str, labels: dict[str, str], histogram: dict) -> None:
    """A native histogram, as the API has it."""
    normal.add(f"{name}!count", labels.items(), float(histogram["count"]))
    normal.add(f"{name}!sum", labels.items(), float(histogram["sum"]))
    for _, low, high, count in histogram.get("buckets", ()):
        if float(low) + float(high) == 0:
            normal.add(f"{name}!zero", labels.items(), float(count))
        else:
            bound = low if float(high) <= 0 else high  # the one that is farther from 0
            normal.add(f"{name}!bucket", [*labels.items(), ("bound", f"{float(bound):.9g}")], float(count))


def with_native_only(page: Normal, tells_empty_ones: bool) -> Normal:
    """As `add_native` has it: of native histograms nothing else is stored."""
    schemas = {k: int(v) for k, v in page.samples.items() if k[0].endswith("!schema")}
    out = Normal()
    native = {}
    for (name, labels), schema in schemas.items():
        base = name.removesuffix("!schema")
        empty = not page.samples[f"{base}!zero_threshold", labels] and not page.samples[f"{base}!zero_count", labels]
        if empty and not tells_empty_ones and not page.samples[f"{base}_count", labels]:
            continue
        native[base, labels] = schema
    for (name, labels), value in page.samples.items():
        base, bang, what = name.partition("!")
        if bang:
            plain = frozenset(pair for pair in labels if pair[0] != "index")
            schema = native.get((base, plain))
            if schema is not None and what in ("positive", "negative"):
                index = int(dict(labels)["index"])
                exponent = index * 2.0**-schema
                # Beyond the largest number there is infinity, from that number on.
                top = math.ceil(1024 * 2.0**schema)
                size = math.inf if index > top else 1.7976931348623157e308 if index == top else 2.0**exponent
                bound = size if what == "positive" else -size
                out.add(f"{base}!bucket", [*plain, ("bound", f"{bound:.9g}")], value)
            elif schema is not None and what == "zero_count" and value:
                out.add(f"{base}!zero", plain, value)
            continue
        plain = frozenset(pair for pair in labels if pair[0] != "le")
        base, _, suffix = name.rpartition("_")
        if (base, plain) in native and suffix in ("bucket", "sum", "count"):
            if suffix != "bucket":
                out.add(f"{base}!{suffix}", plain, value)
        else:
            out.add(name, labels, value)
    return out


class ServerCalibration:
    """Servers do take the good pages, and tell the wrong ones."""

    server: type[Prometheus]
    BROKEN = {
        "openmetrics": ("no end", "two spaces", "an unescaped quote", "no number", "a unit that is not in the name"),
        "protobuf": ("the last byte missing", "a wrong length", "a type that there is not", "a label that is not UTF-8"),
    }

    def test_broken_pages(self) -> None:
        sources = {
            "openmetrics": (broken_pages.OPENMETRICS_GOOD.encode(), broken_pages.BROKEN_OPENMETRICS),
            "protobuf": (broken_messages.GOOD, broken_messages.BROKEN),
        }
        pages, right = {}, set()
        for format, (good, broken) in sources.items():
            kind = shm.exposition(format).content_type
            right.add(f"{format}-good")
            pages[f"{format}-good"] = (kind, good)
            for i, what in enumerate(self.BROKEN[format]):
                page = broken[what][0]
                pages[f"{format}-{i}"] = (kind, page.encode() if isinstance(page, str) else page)
        settings = {job: {"metrics_path": f"/{job}"} for job in pages}
        with StaticTarget({f"/{job}": page for job, page in pages.items()}) as target:
            targets = dict.fromkeys(pages, target.port)
            with self.server(targets, "--enable-feature=native-histograms", **settings) as prometheus:
                wait_for_scrapes(prometheus, list(pages), time.time())
                up = {one["metric"]["job"]: one["value"][1] for one in prometheus.query("up")}
        self.assertEqual(up, {job: "1" if job in right else "0" for job in pages})


@needs(Prometheus.program)
class Calibration(ServerCalibration, unittest.TestCase):
    server = Prometheus


@needs(NewerPrometheus.program)
class NewerCalibration(ServerCalibration, unittest.TestCase):
    server = NewerPrometheus


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def legal(label: str) -> str:
    return label if re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", label) else quoted(label)


@needs(Prometheus.program)
class OpenMetrics(Scraped, unittest.TestCase):
    server = Prometheus
    jobs = {"plain": "openmetrics", "created": "openmetrics"}


@needs(Prometheus.program)
class Protobuf(TakesNative, Scraped, unittest.TestCase):
    server = Prometheus
    flags = ("--enable-feature=native-histograms,exemplar-storage",)
    tells_empty_ones = False
    with_exemplars = {"known_both": 1}  # Prometheus 2.42 takes one, and from classic buckets
    jobs = {"plain": "protobuf"}
    mangled = ("gauge_histogram",)  # Prometheus 2.42 forgets their suffixes


@needs(NewerPrometheus.program)
class Newer(Scraped, unittest.TestCase):
    """As it is, and told what to ask for."""

    server = NewerPrometheus
    jobs = {
        "plain": "openmetrics", "created": "openmetrics", "text": "text", "text1": "text1", "openmetrics": "openmetrics",
        "protobuf": "protobuf", "underscores": "openmetrics", "dots": "openmetrics", "values": "openmetrics",
    }  # fmt: skip
    escapings = {
        "plain": "allow-utf-8", "created": "allow-utf-8", "text": "underscores", "text1": "allow-utf-8",
        "openmetrics": "allow-utf-8", "underscores": "underscores", "dots": "dots", "values": "values",
    }  # fmt: skip
    settings = {
        "text": {"scrape_protocols": ["PrometheusText0.0.4"]},
        "text1": {"scrape_protocols": ["PrometheusText1.0.0"]},
        "openmetrics": {"scrape_protocols": ["OpenMetricsText1.0.0"]},
        # Else it would show nothing of native histograms, as it does not take them here.
        "protobuf": {"scrape_protocols": ["PrometheusProto"], "always_scrape_classic_histograms": True},
        "underscores": {"metric_name_validation_scheme": "legacy", "metric_name_escaping_scheme": "underscores"},
        "dots": {"metric_name_validation_scheme": "legacy", "metric_name_escaping_scheme": "dots"},
        "values": {"metric_name_validation_scheme": "legacy", "metric_name_escaping_scheme": "values"},
    }


@needs(NewerPrometheus.program)
class NewerNative(TakesNative, Scraped, unittest.TestCase):
    server = NewerPrometheus
    flags = ("--enable-feature=native-histograms,exemplar-storage",)
    jobs = {"plain": "protobuf"}
    escapings = {}  # it names none with protobuf
    with_exemplars = {"known_native": 8, "known_both": 3}


if __name__ == "__main__":
    main()
