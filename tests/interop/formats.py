"""Random registries with every type, rendered in every format, and read by programs of other people: one sample set.

PAGES registries are tried, from the seed SEED on.
"""

from __future__ import annotations

import math
import os
import random
import re
import unittest
from fractions import Fraction

import google.protobuf  # noqa: F401 - what this needs, named early
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

import harness
import protobuf
import shm
from processes import in_child
from registries import DYADIC, GAUGES, LONE, random_text

PAGES = int(os.environ.get("PAGES", "60"))
SEED = int(os.environ.get("SEED", "1"))
KINDS = ("counter", "gauge", "histogram", "unknown", "summary", "gaugehistogram", "stateset", "enum", "info")
HELPS = ("", "Some help.", 'In "quotes" \\ and\nlines', "日本語 🦀")
PIECE = 4096


def key(name: str, labels: dict[str, str] | list[tuple[str, str]]) -> tuple:
    # An empty label is no label.
    return name, tuple(sorted((k, v) for k, v in dict(labels).items() if v != ""))


class Model:
    """What was registered, and what the samples must be, by the names of the text format."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.samples: dict[tuple, float] = {}
        self.types: dict[str, tuple[str, str, str]] = {}  # by base name: kind, help, unit
        self.exemplars: dict[tuple, tuple[dict, float]] = {}
        self.own = tuple((f"own{i}", random_text(self.rng)) for i in range(self.rng.choice((0, 0, 1, 2))))
        self.segment = shm.Segment(how=shm.ANONYMOUS, own=self.own)
        for number in range(self.rng.randrange(1, 8)):
            self.family(self.rng.choice(KINDS), number)

    def family(self, kind: str, number: int) -> None:
        rng = self.rng
        unit = rng.choice(("", "", "seconds")) if kind not in ("stateset", "enum", "info") else ""
        base = f"f{number}_{kind}s" + (f"_{unit}" if unit else "")
        self.types[base] = kind, rng.choice(HELPS), unit
        names = tuple(rng.sample(("method", "path", "status", "x9"), rng.randrange(4)))
        bounds = sorted(rng.sample((-1.0, 0.0, 0.001, 0.5, 1.0, 2.5, 1e6), rng.randrange(4)))
        states = tuple(rng.sample(("a", "b c", 'd"e', "f\\g", "é"), rng.randrange(1, 4)))
        suffix = rng.choice(("", {"counter": "_total", "info": "_info"}.get(kind, "")))
        family = self.segment.register(
            kind, base + suffix, self.types[base][1], names, unit=unit, states=states if kind in ("stateset", "enum") else (),
            buckets=tuple(bounds) if "histogram" in kind else None,
        )  # fmt: skip
        sets = {tuple(random_text(rng) for _ in names) for _ in range(rng.randrange(1, 4))} if names else {()}
        for values in sorted(sets):
            series = family.with_(*values)
            labels = [*self.own, *zip(names, values)]
            if kind != "info":
                self.updates(kind, base, series, labels, bounds, states)
            else:
                self.samples[key(base + "_info", labels)] = 1

    def updates(self, kind: str, base: str, series: shm.Series, labels: list, bounds: list[float], states: tuple) -> None:
        rng, put = self.rng, lambda name, v, *more: self.samples.__setitem__(key(base + name, [*labels, *more]), v)
        if kind == "counter":
            amounts = [rng.choice(DYADIC) for _ in range(rng.randrange(4))]
            for amount in amounts:
                series.update("add", amount)
            put("_total", float(sum(map(Fraction, amounts))))
            if rng.random() < 0.3:
                # No quotes: prometheus_client 0.26 cannot read them here, though they are escaped.
                pairs = (("trace_id", rng.choice(("c0ffee", "q\\\n", "é"))), ("n", ""))
                series.update("add_with_exemplar", 0.5, pairs)
                put("_total", float(sum(map(Fraction, amounts))) + 0.5)
                self.exemplars[key(base + "_total", labels)] = dict(pairs), 0.5
        elif kind in ("gauge", "unknown"):
            value = rng.choice(LONE)
            series.update("set", value)
            put("", value)
        elif kind in ("stateset", "enum"):
            on = [False] * len(states)
            if kind == "enum":
                chosen = rng.randrange(len(states))
                series.update("choose", chosen)
                on[chosen] = True
            else:
                for i in range(len(states)):
                    on[i] = rng.random() < 0.5
                    series.update("set", i, on[i])
            for state, is_on in zip(states, on):
                put("", float(is_on), (base, state))
        else:
            # A sum below 0 has no place in OpenMetrics 1.0, nor sums of negative observations.
            negative = kind != "summary" and bounds[:1] == [-1.0]
            observed = [rng.choice(GAUGES if negative else DYADIC) for _ in range(rng.randrange(5))]
            for v in observed:
                series.update("observe", v)
            if kind == "histogram" and rng.random() < 0.3:
                series.update("observe_with_exemplar", 0.25, (("trace_id", "facade"),))
                observed.append(0.25)
                le = next((b for b in bounds if b >= 0.25), math.inf)
                self.exemplars[key(base + "_bucket", [*labels, ("le", floatToGoString(le))])] = {"trace_id": "facade"}, 0.25
            if kind == "gaugehistogram" and observed:
                series.update("forget", observed.pop())
            put("_sum", float(sum(map(Fraction, observed))))
            put("_count", float(len(observed)))
            if kind != "summary":
                for bound in (*bounds, math.inf):
                    put("_bucket", float(sum(v <= bound for v in observed)), ("le", floatToGoString(bound)))

    def page(self, form: int, created: bool = False) -> bytes:
        return self.segment.render_in_pieces(PIECE, shm.Exposition(form, 0, created))


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def differences(expected: dict, found: dict) -> list[str]:
    wrong = [f"{k} is missing" for k in expected.keys() - found.keys()]
    wrong += [f"{k} is too much" for k in found.keys() - expected.keys()]
    wrong += [f"{k} should be {v}, and is {found[k]}" for k, v in expected.items() if k in found and not same(v, found[k])]
    return wrong


def is_own(name: str) -> bool:
    return name.startswith("shmetrics_")


def collect(problems: list[str], samples: dict, name: str, labels: object, value: float) -> None:
    if key(name, labels) in samples:
        problems.append(f"{name}{labels} is there twice")
    samples[key(name, labels)] = value


def by_text(page: bytes, _: Model) -> tuple[dict, list[str]]:
    samples, problems = {}, []
    for metric in parse_text(page.decode()):
        for s in metric.samples:
            if not is_own(s.name):
                collect(problems, samples, s.name, s.labels, s.value)
    return samples, problems


_G = re.compile("_g(sum|count)$")


def by_openmetrics(page: bytes, model: Model) -> tuple[dict, list[str]]:
    samples, problems = {}, []
    for metric in parse_openmetrics(page.decode()):
        if is_own(metric.name):
            continue
        kind, text, unit = model.types[metric.name]
        kind = {"enum": "stateset"}.get(kind, kind)
        if (metric.type, metric.documentation, metric.unit) != (kind, text, unit):
            problems.append(f"{metric.name}: {(metric.type, metric.documentation, metric.unit)}, not {(kind, text, unit)}")
        for s in metric.samples:
            if s.name.endswith("_created"):
                if not 1.7e9 < s.value < 4e9:
                    problems.append(f"{s.name} is {s.value}")
                continue
            collect(problems, samples, _G.sub(r"_\1", s.name), s.labels, s.value)
            example = model.exemplars.get(key(s.name, s.labels))
            found = s.exemplar and (s.exemplar.labels, s.exemplar.value)
            if (found or None) != example:
                problems.append(f"{s.name}{s.labels} has the exemplar {found}, not {example}")
    # What OpenMetrics 1.0 has no place for.
    for (name, labels), value in model.samples.items():
        base = name.removesuffix("_sum").removesuffix("_count")
        if base != name and model.types.get(base, ("",))[0] in ("histogram", "gaugehistogram"):
            if (name, labels) not in samples and any(
                k[0] == base + "_bucket" and float(dict(k[1])["le"]) < 0 for k in model.samples
            ):
                samples[name, labels] = value
    return samples, problems


def by_protobuf(page: bytes, model: Model) -> tuple[dict, list[str]]:
    samples, problems = {}, []

    def exemplar(name: str, labels: object, message: object) -> None:
        found = None
        if message.HasField("exemplar"):
            e = message.exemplar
            found = {pair.name: pair.value for pair in e.label}, e.value
            if not 1.7e9 < e.timestamp.seconds < 4e9:
                problems.append(f"{name} has an exemplar of {e.timestamp}")
        if found != model.exemplars.get(key(name, labels)):
            problems.append(f"{name}{labels} has the exemplar {found}")

    for family in protobuf.families(page):
        if is_own(family.name):
            continue
        base = family.name.removesuffix("_total").removesuffix("_info")
        kind, text, unit = model.types[base]
        want = {"unknown": "untyped", "gaugehistogram": "gauge_histogram", "info": "gauge"}.get(kind, kind)
        want = {"stateset": "gauge", "enum": "gauge"}.get(want, want)
        if (protobuf.TYPES[family.type], family.help, family.unit) != (want, text, unit):
            problems.append(f"{family.name}: {protobuf.TYPES[family.type]}, {family.help!r}, {family.unit!r}")
        for m in family.metric:
            labels = [(pair.name, pair.value) for pair in m.label]
            put = lambda name, v, *more: collect(problems, samples, name, [*labels, *more], v)  # noqa: E731
            field = {"summary": "summary", "untyped": "untyped", "counter": "counter", "gauge": "gauge"}.get(want, "histogram")
            value = getattr(m, field)
            if not m.HasField(field) or len(dict(labels)) != len(labels):
                problems.append(f"{family.name}: {m}")
            if field in ("counter", "gauge", "untyped"):
                put(family.name, value.value)
            else:
                put(base + "_sum", value.sample_sum)
                put(base + "_count", float(value.sample_count))
            if field == "histogram":
                bounds = []
                for bucket in value.bucket:
                    le = ("le", floatToGoString(bucket.upper_bound))
                    bounds.append(bucket.upper_bound)
                    put(base + "_bucket", float(bucket.cumulative_count), le)
                    exemplar(base + "_bucket", [*labels, le], bucket)
                if bounds[-1:] != [math.inf]:
                    put(base + "_bucket", float(value.sample_count), ("le", "+Inf"))
            if field == "counter":
                exemplar(family.name, labels, value)
            if kind in ("counter", "histogram", "summary") and not 1.7e9 < value.created_timestamp.seconds < 4e9:
                problems.append(f"{family.name} began at {value.created_timestamp}")
    return samples, problems


_NUMBER = r"(?:NaN|[+-]Inf|-?[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?)"
_LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
_LABELS = rf"\{{(?:{_LABEL}(?:,{_LABEL})*)?\}}"
_TIME = r"[0-9]+(?:\.[0-9]+)?"
_BUCKETS = rf"\[(?:{_NUMBER}:[0-9]+(?:,{_NUMBER}:[0-9]+)*)?\]"
_COMPOSITE = rf"\{{g?count:([0-9]+),g?sum:({_NUMBER}),(?:bucket|quantile):({_BUCKETS})\}}"
_LINE_2 = re.compile(
    rf"([a-zA-Z_:][a-zA-Z0-9_:]*)({_LABELS})? (?:({_NUMBER})|{_COMPOSITE})(?: st@({_TIME}))?((?: # {_LABELS} {_NUMBER} {_TIME})*)"
)
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')


def _pairs(text: str | None) -> list[tuple[str, str]]:
    unescape = lambda v: re.sub(r'\\(["\\n])', lambda m: "\n" if m[1] == "n" else m[1], v)  # noqa: E731
    return [(k, unescape(v)) for k, v in _PAIR.findall(text or "")]


def by_openmetrics_2(page: bytes, model: Model) -> tuple[dict, list[str]]:
    """No parser of others takes 2.0.0 yet: its line grammar, strictly."""
    samples, problems = {}, []
    lines = page.decode().split("\n")
    if lines[-2:] != ["# EOF", ""]:
        problems.append(f"the page ends in {lines[-2:]}")
    for line in lines[:-2]:
        if line.startswith("# "):
            continue
        m = _LINE_2.fullmatch(line)
        if not m:
            problems.append(f"no line of OpenMetrics 2.0.0: {line}")
            continue
        name, labels, value, count, total, buckets, began, examples = m.groups()
        if is_own(name):
            continue
        pairs, base = _pairs(labels), name.removesuffix("_total").removesuffix("_info")
        kind = model.types[base][0]
        if (began is not None) != (kind in ("counter", "histogram", "summary")):
            problems.append(f"st@ is there or not: {line}")
        if value is not None:
            collect(problems, samples, name, pairs, float(value))
        else:
            collect(problems, samples, name + "_count", pairs, float(count))
            collect(problems, samples, name + "_sum", pairs, float(total))
            for bucket in filter(None, buckets[1:-1].split(",")):
                le, n = bucket.rsplit(":", 1)
                collect(problems, samples, name + "_bucket", [*pairs, ("le", le)], float(n))
        own = key("", pairs)[1]
        of_series = [
            n for n, labels in model.exemplars
            if n.startswith(base) and tuple(pair for pair in labels if pair[0] != "le") == own
        ]  # fmt: skip
        if examples.count(" # {") != len(of_series):
            problems.append(f"there should be {len(of_series)} exemplars: {line}")
    return samples, problems


READERS = {
    "text 0.0.4": (by_text, shm.TEXT, False),
    "text 1.0.0": (by_text, shm.TEXT_1, False),
    "OpenMetrics 1.0.0": (by_openmetrics, shm.OPENMETRICS, False),
    "OpenMetrics 1.0.0 with _created": (by_openmetrics, shm.OPENMETRICS, True),
    "OpenMetrics 2.0.0": (by_openmetrics_2, shm.OPENMETRICS_2, False),
    "protobuf": (by_protobuf, shm.PROTOBUF, False),
}


def problems_of(seed: int) -> list[str]:
    model, problems = Model(seed), []
    for name, (read, form, created) in READERS.items():
        page = model.page(form, created)
        try:
            samples, found = read(page, model)
        except ValueError as error:
            problems.append(f"{name}: {error}\n{page.decode(errors='replace')}")
            continue
        found += differences(model.samples, samples)
        problems += [f"{name}: {problem}" for problem in found]
    return problems


class Item77(unittest.TestCase):
    def test_all_formats_decode_to_one_sample_set(self) -> None:
        for seed in range(SEED, SEED + PAGES):
            with self.subTest(seed=seed):
                self.assertEqual(in_child(lambda: problems_of(seed)), [])


class Calibration(unittest.TestCase):
    """Each reader notices what is wrong."""

    def broken(self, name: str, old: bytes, new: bytes) -> list[str]:
        def job() -> list[str]:
            model = Model(0)
            model.samples.clear()
            model.types["a"] = "counter", "", ""
            model.samples[key("a_total", model.own)] = 3.0
            model.segment = shm.Segment(how=shm.ANONYMOUS, own=model.own)
            model.segment.register("counter", "a").with_().update("add", 3.0)
            read, form, created = READERS[name]
            page = model.page(form, created)
            changed = page.replace(old, new, 1)
            problems = []
            for text in (page, changed):
                try:
                    samples, found = read(text, model)
                    problems.append(found + differences(model.samples, samples))
                except (ValueError, KeyError) as error:  # a KeyError: a family that was never registered
                    problems.append([repr(error)])
            return [problems[0], problems[1], page == changed]

        sound, wrong, same_page = in_child(job)
        self.assertEqual(sound, [], name)
        self.assertFalse(same_page, name)
        return wrong

    def test_values_and_names(self) -> None:
        for name in READERS:
            if name == "protobuf":
                changes = [(b"\x00\x00\x08@", b"\x00\x00\x10@"), (b"a_total", b"b_total"), (b"\x0a\x07a_total", b"\x0a\x70a_total")]
            else:
                changes = [(b" 3", b" 4"), (b"\na_total", b"\nb_total"), (b"\n", b"\nx\x01y 1\n")]
            for old, new in changes:
                with self.subTest(format=name, new=new):
                    self.assertTrue(self.broken(name, old, new))

    def test_ends(self) -> None:
        for name in READERS:
            if "OpenMetrics" in name:
                with self.subTest(format=name):
                    self.assertTrue(self.broken(name, b"# EOF\n", b""))


if __name__ == "__main__":
    harness.main()
