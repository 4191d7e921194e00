"""Every format of one registry, each read by a program of other people, against the model and so against each other.

FORMAT_PAGES (40) is the number of random registries, SEED (0) the first one's. GRAMMAR_PAGES (10) of them
are parsed by grammars, which takes longer.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import time
import unittest
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import broken_messages
import broken_pages
import decoders
import grammar
import normal
import rust_parser
import shm
import utf8
from daemons import NewerPushgateway, Pushgateway, VictoriaMetrics
from harness import main, needs
from model import Family
from normal import Normal
from oracles import OWN, same_sample
from play import PIECE, Played, Script, play
from registries import BUCKETS, KINDS, LONE, OBSERVED, STATES, random_script

GRAMMAR_PAGES = int(os.environ.get("GRAMMAR_PAGES", "10"))
FORMAT_PAGES, SEED = int(os.environ.get("FORMAT_PAGES", "40")), int(os.environ.get("SEED", "0"))
CLOCK_TOLERANCE = 0.01

# name: the format, with starts, the program that reads it
FORMATS = {
    "text 0.0.4": ("text", False, decoders.text),
    "text 1.0.0": ("text1", False, decoders.text),
    "OpenMetrics 1.0.0": ("openmetrics", False, decoders.openmetrics),
    "OpenMetrics 1.0.0 with starts": ("openmetrics", True, decoders.openmetrics),
    "OpenMetrics 2.0.0": ("openmetrics2", False, decoders.openmetrics2),
    "protobuf": ("protobuf", False, decoders.protobuf),
}


def _page(how: shm.Exposition, segment: shm.Segment, **settings: object) -> bytes:
    return segment.page(how, **settings)


PAGES = {name: partial(_page, shm.exposition(f, created=created)) for name, (f, created, _) in FORMATS.items()}


def shown(page: bytes) -> str:
    return repr(page[:3000]) if b"\x00" in page[:50] else page.decode(errors="replace")[:6000]


class FormatsTest(unittest.TestCase):
    def check(self, script: Script) -> Played:
        begin = time.time()
        played = play(script, PAGES)
        end = time.time()
        starts: dict[normal.Key, float] = {}
        for name, (format, created, decode) in FORMATS.items():
            page = played.pages[name]
            try:
                found = decode(page).without(OWN)
            except ValueError as error:
                self.fail(f"{name}: {error}\n{shown(page)}")
            problems = normal.differences(normal.expected(played.model, format, created), found)
            for at, start in found.created.items():
                if not begin - CLOCK_TOLERANCE <= start <= end + CLOCK_TOLERANCE:
                    problems.append(f"the start of {at} is {start}, in a test from {begin} to {end}")
                if abs(starts.setdefault(at, start) - start) > 1e-6:
                    problems.append(f"the start of {at} is {start}, and {starts[at]} in another format")
            if problems:
                self.fail("\n".join([f"{name}: {problem}" for problem in problems[:10]] + [shown(page)]))
        return played


class Types(FormatsTest):
    def test_nothing_registered(self) -> None:
        self.check(Script([]))

    def test_every_type_without_series_untouched_and_touched(self) -> None:
        kinds = dict.fromkeys(KINDS)
        for labels in ((), ("x",)):
            families = [
                Family(k, f"a_{k}", f"A {k}.", labels, states=("p", "q") if k in ("state_set", "enum") else ())
                for k in kinds
            ]
            script = Script(families)
            self.check(script)
            update = {"state_set": ("set", 1, True), "enum": ("set", 1), "counter": ("add", 2.5), "info": None}
            update |= {"gauge": ("set", 1.5), "unknown": ("set", -1.0)}
            for i, kind in enumerate(kinds):
                if step := update.get(kind, ("observe", 0.25)):
                    script.update(0, i, ("v",) if labels else (), *step)
                else:
                    script.look_up(i, *(("v",) if labels else ()))
            script.fixed = (("app", 'a"b\\c\nd'), ("zone", ""))
            self.check(script)

    def test_every_set_of_bounds(self) -> None:
        kinds = ("histogram", "gauge_histogram")
        script = Script([Family(k, f"{k}_{i}", buckets=b) for k in kinds for i, b in enumerate(BUCKETS)])
        for i in range(len(script.families)):
            for value in OBSERVED:
                script.update(0, i, (), "observe", value)
        self.check(script)

    def test_sums_below_zero(self) -> None:
        script = Script(
            [Family(k, k, labels=("x",), buckets=(1.0,)) for k in ("histogram", "gauge_histogram")]
            + [Family("summary", "summary", labels=("x",))]
        )
        for i in range(3):
            for label, value in (("below", -2.5), ("above", 2.5), ("zero", -0.0), ("infinite", math.inf)):
                script.update(0, i, (label,), "observe", value)
        self.check(script)

    def test_all_states(self) -> None:
        script = Script([Family(k, f"{k}_{i}", states=s) for k in ("state_set", "enum") for i, s in enumerate(STATES)])
        for i, family in enumerate(script.families):
            for state in range(len(family.states) + 1):  # one that there is not is left out
                script.update(0, i, (), "set", state, *((True,) if family.kind == "state_set" else ()))
        self.check(script)

    def test_overflow_series_of_every_type(self) -> None:
        verbs = {"counter": ("inc",), "gauge": ("inc",), "unknown": ("inc",), "state_set": ("set", 0, True)}
        script = Script(
            [
                Family(k, k, "Two.", ("x",), max_series=2, states=("p", "q") if k in ("state_set", "enum") else ())
                for k in dict.fromkeys(KINDS)
            ]
        )
        for i, family in enumerate(script.families):
            for x in "abcd":
                if family.kind == "info":
                    script.look_up(i, x)
                else:
                    verb = ("set", 1) if family.kind == "enum" else verbs.get(family.kind, ("observe", 0.25))
                    script.update(0, i, (x,), *verb)
        self.assertGreater(self.check(script).model.refused, len(script.families))

    def test_removed_label_sets(self) -> None:
        kinds = tuple(dict.fromkeys(KINDS))
        script = Script(
            [Family(k, k, labels=("x",), states=("p", "q") if k in ("state_set", "enum") else ()) for k in kinds]
        )
        for i in range(len(kinds)):
            for x in "abc":
                script.look_up(i, x)
            script.remove(i, "b")
            script.remove(i, "nothing")
        self.check(script)
        for i in range(len(kinds)):
            script.look_up(i, "b")
        self.check(script)

    def test_values_come_back_to_the_bit(self) -> None:
        script = Script([Family(k, f"a_{k}", labels=("x",)) for k in ("gauge", "unknown", "counter")])
        for i, value in enumerate((*LONE, 1 / 3, math.pi, 4.9e-320, 2.0**53 + 2, -(2.0**63), 2.0**64, 1e22)):
            for family in (0, 1):
                script.update(0, family, (str(i),), "set", value)
            if 0 < value < math.inf:
                script.update(0, 2, (str(i),), "add", value)
        self.check(script)

    def test_texts(self) -> None:
        hard = ("\\", '"', "\n", "\\n", '\\"', "\\\\", 'a"} 1', "\r\n", "\r", "\x00", "\u2028", "\x85", "\x0b", "🦀",
                "{", "}", ",", " ", "# EOF", "st@1", "x" * 5000, "é" * 127, "a\\", "\ufeff", "\ud7ff\ue000\U0010ffff")  # fmt: skip
        for fixed in ((), (("app", 'q"\\\n\x00🦀'),)):
            script = Script([Family("counter", f"a{i}", "Help " + h, ("x", "y")) for i, h in enumerate(hard)])
            script.families.append(Family("enum", "state", labels=("x",), states=tuple(h[:500] for h in hard[:20])))
            script.families.append(Family("histogram", "times", labels=("x",), buckets=(0.5,)))
            script.fixed = fixed
            for i, text in enumerate(hard):
                script.update(0, i, (text, ""), "inc")
                script.update(0, i, ("", text), "add", 2.0)
                script.look_up(len(hard), text)
                script.update(0, len(hard) + 1, (text,), "observe", 0.25)
            self.check(script)


class Limits(unittest.TestCase):
    """What no page could carry is not on one."""

    def pages(self, segment: shm.Segment) -> dict[str, Normal]:
        return {name: decode(PAGES[name](segment)) for name, (_, _, decode) in FORMATS.items()}

    def test_states_are_shown_in_a_label_of_the_family_s_name(self) -> None:
        for kind in ("state_set", "enum"):
            for name in ("a:b", "__name__", "__x"):
                with self.subTest(kind, name=name), self.assertRaises(shm.Error):
                    shm.Segment(how=shm.ANONYMOUS).register(kind, name, states=("p", "q"))

    def test_labels_of_the_segment_are_not_those_of_its_own_families(self) -> None:
        own = {label for normal in self.pages(shm.Segment(how=shm.ANONYMOUS)).values()
               for _, labels in normal.samples for label, _ in labels}  # fmt: skip
        self.assertTrue(own)
        for label in own | {"le", "quantile", "pid", "__x", "", "shmetrics_overflow"}:
            with self.subTest(label=label), self.assertRaises(shm.Error):
                shm.Segment(how=shm.ANONYMOUS, labels=((label, "x"),))

    def test_names_that_clash_in_any_format(self) -> None:
        names = [(kind, name) for kind in dict.fromkeys(KINDS)
                 for name in ("a", "a_total", "a_info", "a_created", "a_sum", "a_gsum", "a_count", "a_bucket")]  # fmt: skip
        registered = 0
        for first in [(kind, name) for kind, name in names if name == "a"]:
            for second in names:
                segment = shm.Segment(how=shm.ANONYMOUS, max_size=1 << 20)
                try:
                    for kind, name in (first, second):
                        segment.register(kind, name, states=("p",) if kind in ("state_set", "enum") else ())
                except shm.Error:
                    continue
                registered += 1
                with self.subTest(first=first, second=second):
                    self.pages(segment)
        self.assertGreater(registered, len(names))

    def test_sums_that_are_no_numbers(self) -> None:
        segment = shm.Segment(how=shm.ANONYMOUS)
        for kind in ("histogram", "gauge_histogram"):
            series = segment.register(kind, kind, buckets=(0.0,)).with_()
            for value in (1.7976931348623157e308, -1.7976931348623157e308) * 2:
                series.update("observe", value)
        self.assertIn(b"_sum NaN", PAGES["text 0.0.4"](segment))
        self.pages(segment)


class Random(FormatsTest):
    def test_random_registries(self) -> None:
        for seed in range(SEED, SEED + FORMAT_PAGES):
            with self.subTest(seed=seed):
                self.check(random_script(seed))


class Names(unittest.TestCase):
    """Names that need quotes, and what becomes of them where there are none."""

    def check(self, script: Script) -> None:
        pages, decode = {}, {}
        for name, (format, created, reader) in FORMATS.items():
            for escaping in utf8.ESCAPINGS:
                if (format, escaping) != ("text", "allow-utf-8"):
                    both = f"{name}, {escaping}"
                    pages[both] = partial(_page, shm.exposition(format, created=created, escaping=escaping))
                    raw = format == "protobuf" and escaping == "allow-utf-8"
                    decode[both] = format, created, escaping, decoders.protobuf_utf8 if raw else reader
        played = play(script, pages)
        for name, (format, created, escaping, reader) in decode.items():
            page = played.pages[name]
            try:
                found = reader(page).without(OWN)
            except ValueError as error:
                self.fail(f"{name}: {error}\n{shown(page)}")
            expected = normal.expected(utf8.escaped(played.model, escaping), format, created)
            if problems := normal.differences(expected, found):
                self.fail("\n".join([f"{name}: {problem}" for problem in problems[:10]] + [shown(page)]))

    def test_random_registries(self) -> None:
        for seed in range(SEED, SEED + FORMAT_PAGES):
            with self.subTest(seed=seed):
                self.check(random_script(seed, odd=True))

    def test_every_type(self) -> None:
        states = ("p", "q")
        families = [
            Family(k, f"a.{k}", "A.", ("x.y", "z"), unit="", states=states if k in ("state_set", "enum") else ())
            for k in dict.fromkeys(KINDS)
        ]
        script = Script(families + [replace(f, name=f"b.{f.kind}", labels=()) for f in families], fixed=(("k.v", '"'),))
        for i, family in enumerate(script.families):
            for x in ('"', "\\", ',"z"="', "\n") if family.labels else ("",):
                script.look_up(i, *((x, "") if family.labels else ()))
        self.check(script)

    def test_an_escaped_page_is_one_of_the_grammar(self) -> None:
        for seed in range(SEED, SEED + GRAMMAR_PAGES):
            for escaping in ("underscores", "dots", "values"):
                how = {"1.0.0": shm.exposition("openmetrics", created=True, escaping=escaping)}
                how["2.0.0"] = shm.exposition("openmetrics2", escaping=escaping)
                pages = play(random_script(seed, odd=True), {v: partial(_page, e) for v, e in how.items()}).pages
                for version, page in pages.items():
                    with self.subTest(seed=seed, escaping=escaping, version=version):
                        self.assertEqual(grammar.problems(page, version), [], shown(page))


@unittest.skipUnless(rust_parser.PROGRAM.exists(), "openmetrics-parser is not built: run.sh builds it by cargo")
class Rust(unittest.TestCase):
    """The crate openmetrics-parser, of registries that it can stand."""

    def test_random_registries(self) -> None:
        read = dict.fromkeys(("text 0.0.4", "OpenMetrics 1.0.0", "OpenMetrics 1.0.0 with starts"), 0)
        with rust_parser.RustParser() as parser:
            for seed in range(SEED, SEED + FORMAT_PAGES):
                played = play(rust_parser.tame(random_script(seed)), PAGES)
                for name in read:
                    with self.subTest(seed=seed, format=name):
                        read[name] += self.check(parser, played, name)
        for name, pages in read.items():
            self.assertGreater(pages, FORMAT_PAGES // 3, name)

    def check(self, parser: rust_parser.RustParser, played: Played, name: str) -> bool:
        format, created, _ = FORMATS[name]
        if created and any(f.kind == "summary" for f in played.model.families):
            return False  # it looks for a quantile in `_created`
        page = rust_parser.without_empty_families(played.pages[name], played.model)
        found = (parser.text if format == "text" else parser.openmetrics)(page).without(OWN)
        expected = normal.expected(played.model, format, created)
        empty = {n for i, f in enumerate(played.model.families) if not played.model.samples(i) for n in (f.shown_name, f.base_name)}
        expected.families = {n: about for n, about in expected.families.items() if n not in empty}
        found.families = {n: tuple(text.strip() if format == "text" else text for text in about) for n, about in found.families.items()}
        self.assertEqual(normal.differences(expected, found), [], shown(page))
        return True


class Transcoded:
    """Go's client reads a page in one format and writes it in another."""

    server: type[Pushgateway]
    tells_gauge_histograms = True

    def test_random_registries(self) -> None:
        pushed = 0
        with self.server() as gateway:
            for seed in range(SEED, SEED + FORMAT_PAGES):
                script = random_script(seed)
                played = play(script, PAGES)
                for name in ("text 0.0.4", "protobuf"):
                    kinds = {f.kind for f in played.model.families}
                    if name == "protobuf" and "gauge_histogram" in kinds and not self.tells_gauge_histograms:
                        continue
                    pushed += 1
                    found = gateway.transcoded(played.pages[name], name == "protobuf")
                    expected = normal.expected(played.model, FORMATS[name][0])
                    for back, pulled in found.items():
                        with self.subTest(seed=seed, pushed=name, pulled=back):
                            # Starts come through only where both have them, and then as they are.
                            starts = decoders.protobuf(played.pages[name]).without(OWN).created if name == back == "protobuf" else {}
                            expected.families, expected.created = {}, starts
                            # Native buckets, too.
                            both = name == back == "protobuf"
                            has = (expected, pulled) if both else (expected.classic(), pulled.classic())
                            if back == "text":  # Go writes -0 as 0
                                has = [Normal({k: v + 0.0 for k, v in n.samples.items()}, n.created, n.families) for n in has]
                            self.assertEqual(normal.differences(*has), [], shown(played.pages[name]))
                            self.assertEqual(pulled.created, starts)
        self.assertGreater(pushed, FORMAT_PAGES)


@needs(Pushgateway.program)
class TranscodedByPushgateway(Transcoded, unittest.TestCase):
    server = Pushgateway
    tells_gauge_histograms = False  # Go's client had no text for them


@needs(NewerPushgateway.program)
class TranscodedByNewerPushgateway(Transcoded, unittest.TestCase):
    server = NewerPushgateway


@needs(VictoriaMetrics.program)
class Stored(unittest.TestCase):
    def test_random_registries(self) -> None:
        expected = {}
        with VictoriaMetrics() as database:
            for seed in range(SEED, SEED + FORMAT_PAGES):
                played = play(random_script(seed), PAGES)
                database.store(played.pages["text 0.0.4"], seed)
                expected[seed] = normal.expected(played.model, "text")
            stored = database.stored(max(expected))
        for seed, what in expected.items():
            with self.subTest(seed=seed):
                found = stored[seed].without(OWN).samples
                there = {at: value for at, value in what.samples.items() if not math.isnan(value)}
                self.assertEqual(there.keys(), found.keys())
                # it stores decimals, and leaves out fractions below 10^-12 of the number
                for at, value in there.items():
                    close = math.isclose(value, found[at], rel_tol=1e-12, abs_tol=1e-300)
                    self.assertTrue(close or same_sample(at[1], value, found[at]), (at, value, found[at]))


class Parts(FormatsTest):
    """Pages of some families, pages in pieces, and the names of the formats."""

    def setUp(self) -> None:
        # One with many families, the same in every run.
        self.script = next(s for s in map(random_script, range(1000)) if len(s.families) == 8 and not s.fixed)

    def test_pages_of_some_families(self) -> None:
        names = [f.shown_name for f in self.script.families[::2]]
        only = {name: partial(page, only=tuple(names)) for name, page in PAGES.items()}
        played = play(self.script, only)
        whole = played.model
        for i in reversed(range(len(whole.families))):
            if i % 2:
                del whole.families[i], whole._series[i], whole._overflow[i]
        for name, (format, created, decode) in FORMATS.items():
            found = decode(played.pages[name])
            self.assertEqual(normal.differences(normal.expected(whole, format, created), found), [], name)

    def test_pages_in_pieces(self) -> None:
        both = PAGES | {name + " in pieces": partial(page, capacity=PIECE) for name, page in PAGES.items()}
        pages = play(self.script, both).pages
        for name, (_, _, decode) in FORMATS.items():
            whole, pieces = (decode(pages[n]).without(OWN) for n in (name, name + " in pieces"))
            self.assertEqual(whole, pieces) if not has_nan(whole) else self.assertEqual(
                normal.differences(whole, pieces), [], name
            )

    def test_escaping_changes_nothing_where_names_are_plain(self) -> None:
        for format in shm.FORMATS:
            pages = {
                escaping: partial(_page, shm.exposition(format, escaping=escaping), only=("a_total",))
                for escaping in shm.ESCAPINGS
            }
            script = Script([Family("counter", "a", "A.", ("x",))])
            script.update(0, 0, ("v",), "inc")
            found = play(script, pages).pages
            self.assertEqual(len(set(found.values())), 1, format)
            self.assertIn(b"a_total" if format != "openmetrics" else b"a", found["default"])

    def test_content_types(self) -> None:
        self.assertEqual(
            [shm.exposition(f).content_type for f in shm.FORMATS],
            [
                "text/plain; version=0.0.4; charset=utf-8",
                "text/plain; version=1.0.0; charset=utf-8",
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                "application/openmetrics-text; version=2.0.0; charset=utf-8",
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            ],
        )
        utf8 = shm.exposition("text1", escaping="allow-utf-8")
        self.assertEqual(utf8.content_type, "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8")


class Grammar(unittest.TestCase):
    def test_random_registries(self) -> None:
        lines = 0
        for seed in range(SEED, SEED + GRAMMAR_PAGES):
            pages = play(random_script(seed), PAGES).pages
            for name, version in (("OpenMetrics 1.0.0 with starts", "1.0.0"), ("OpenMetrics 2.0.0", "2.0.0")):
                with self.subTest(seed=seed, format=name):
                    self.assertEqual(grammar.problems(pages[name], version), [], shown(pages[name]))
                    lines += pages[name].count(b"\n")
        self.assertGreater(lines, 50 * GRAMMAR_PAGES)

    def test_whole_pages(self) -> None:
        for version in ("1.0.0", "2.0.0"):
            for page in sorted((shm.ROOT / "tests/golden").glob(f"openmetrics-{version}*.txt")):
                self.assertTrue(grammar.is_exposition(page.read_bytes(), version), page.name)


class Calibration(unittest.TestCase):
    """Each program that reads pages takes the good one, and rejects each wrong one that it must."""

    def check(self, good: bytes, broken: dict, checkers: dict[str, Callable[[bytes], object]]) -> None:
        """A checker raises ValueError for what is wrong, or says it."""

        def rejects(checker: Callable[[bytes], object], page: bytes) -> bool:
            try:
                return bool(checker(page))
            except ValueError:
                return True

        for name, checker in checkers.items():
            self.assertFalse(rejects(checker, good), f"{name} rejects the good page")
        for what, (page, by) in broken.items():
            for name in by & checkers.keys():
                with self.subTest(what, checker=name):
                    page = page.encode() if isinstance(page, str) else page
                    self.assertTrue(rejects(checkers[name], page), f"{name} lets this pass:\n{page.decode(errors='replace')}")

    def against(self, decode: Callable[[bytes], Normal], good: bytes) -> Callable[[bytes], object]:
        return lambda page: normal.differences(decode(good), decode(page))

    @staticmethod
    def only_reads(decode: Callable[[bytes], Normal]) -> Callable[[bytes], None]:
        def reads(page: bytes) -> None:
            decode(page)

        return reads

    def test_broken_openmetrics(self) -> None:
        good = broken_pages.OPENMETRICS_GOOD.encode()
        checkers = {
            "prometheus_client": self.only_reads(decoders.openmetrics),
            "model": self.against(decoders.openmetrics, good),
            "grammar": partial(grammar.problems, version="1.0.0"),
        }
        with contextlib.ExitStack() as stack:
            if rust_parser.PROGRAM.exists():
                parser = stack.enter_context(rust_parser.RustParser())
                # It takes no unit of a histogram; see `rust_parser.tame`.
                read = self.only_reads(parser.openmetrics)
                checkers["openmetrics-parser"] = lambda page: read(page.replace(b"# UNIT latency_seconds seconds\n", b""))
            self.check(good, broken_pages.BROKEN_OPENMETRICS, checkers)

    def test_broken_openmetrics_2(self) -> None:
        checkers = {"reader": self.only_reads(decoders.openmetrics2), "grammar": partial(grammar.problems, version="2.0.0")}
        self.check(broken_pages.OPENMETRICS2_GOOD.encode(), broken_pages.BROKEN_OPENMETRICS2, checkers)

    def test_broken_protobuf(self) -> None:
        checkers = {
            "decoder": self.only_reads(decoders.protobuf),
            "model": self.against(decoders.protobuf, broken_messages.GOOD),
        }
        with contextlib.ExitStack() as stack:
            if shutil.which(NewerPushgateway.program):
                gateway = stack.enter_context(NewerPushgateway())

                def push(page: bytes) -> None:
                    gateway.transcoded(page, True)

                checkers["Pushgateway"] = push
            self.check(broken_messages.GOOD, broken_messages.BROKEN, checkers)


def has_nan(of: Normal) -> bool:
    return any(math.isnan(v) for v in of.samples.values())


if __name__ == "__main__":
    main()
