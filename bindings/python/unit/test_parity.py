"""The drop-in and the native metrics beside prometheus_client: the same program, and the same
values.
"""

from __future__ import annotations

import copy
import inspect
import json
import math
import pickle
import sys
import threading

import pytest
from processes import IN_CHILD, in_child

import shmetrics
from shmetrics import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary

PEER = {"SHMETRICS_PYTHON": "0"}
BEGIN = """
import json, os, warnings
warnings.simplefilter("ignore")
from prometheus_client import *
from prometheus_client import metrics, registry as registries
from prometheus_client.multiprocess import MultiProcessCollector
def samples(of=None):
    if of is None:
        of = CollectorRegistry()
        MultiProcessCollector(of)
    found = [(s.name, sorted(s.labels.items()), s.value) for m in of.collect() for s in m.samples]
    return sorted(s for s in found if not s[0].endswith("_created"))
def show(what):
    print(json.dumps(what))
""" + IN_CHILD


@pytest.fixture
def dropin(program, tmp_path):
    """Runs a program with the drop-in."""
    return lambda code: program(BEGIN + code, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))


@pytest.fixture
def both(program, tmp_path):
    """Runs a program with the drop-in and with prometheus_client as it is, each in a directory of
    its own.
    """

    def run(code: str, **environment: str) -> "tuple[object, object]":
        out = []
        for name, switch in (("ours", {}), ("peers", PEER)):
            (tmp_path / name).mkdir(exist_ok=True)
            variables = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / name), **switch, **environment}
            out.append(json.loads(program(BEGIN + code, **variables)))
        return out[0], out[1]

    return run


@pytest.mark.parametrize(
    "buckets",
    [
        "[1, 1, 2]",
        "[1, 2, float('inf'), float('inf')]",
        "[float('inf'), float('inf')]",
        "[-1, 0, 1]",
        "[1e-9, 1e300]",
        "['0.5', '1', '2.5']",
        "(0.1 * i for i in range(1, 4))",
        "[2, 1]",
        "[]",
        "[float('inf')]",
        "[1, float('nan'), 0.5]",
        "['x']",
    ],
)
def test_buckets(buckets, both):
    """Bounds that no page can have, which are NaN and -Inf, have no line; what is counted is the
    same.
    """
    ours, peers = both(
        """
try:
    h = Histogram("h", "help", buckets=%s)
    for value in (0.25, 0.75, 1, 1.5, 2, 9):
        h.observe(value)
    show([s for s in samples() if s[1] not in ([["le", "NaN"]], [("le", "NaN")], [("le", "-Inf")])])
except Exception as error:
    show([type(error).__name__, str(error)])
"""
        % buckets
    )
    if "nan" in buckets:
        # Nothing is ever counted at a bound behind a greater one.
        peers = [s for s in peers if s[1] != [["le", "0.5"]]]
    assert ours == peers


def test_negative_infinity_and_nan_among_bounds(registry):
    histogram = Histogram("h", "help", registry=registry, buckets=[-math.inf, 1, math.nan, 2, 2])
    for value in (-5, 1.5, 3):
        histogram.observe(value)
    found = {s.labels["le"]: s.value for m in histogram.collect() for s in m.samples if s.name == "h_bucket"}
    assert found == {"1.0": 1, "2.0": 2, "+Inf": 3}


def test_own_share_of_odd_buckets(both):
    """What the metric itself collects has all its bounds, as ever."""
    ours, peers = both(
        """
r = CollectorRegistry()
h = Histogram("h", "help", buckets=[1, 1, 2, float("nan"), 5], registry=r)
for value in (0.5, 1.5, 3, 9):
    h.observe(value)
show([(s[0], str(s[1]), s[2]) for s in samples(r)])
"""
    )
    assert ours == peers


def test_lone_surrogates_are_replaced(dropin):
    """prometheus_client fails the whole page."""
    dropin(
        """
c = Counter("c", "help \\udcff", ["a"])
c.labels("x\\udcff").inc()
c.labels(a="x\\udcff").inc()
h = Histogram("h", "help", ["a"])
h.labels("\\ud800").observe(1)
Gauge("g", "help", ["a"]).labels("\\udcff").set(1)
Info("i", "help").info({"v": "\\udcff"})
e = Enum("e", "help", ["a"], states=["on", "\\udc00"])
e.labels("\\udcff").state("\\udc00")
page = generate_latest(samples.__globals__.setdefault("r", CollectorRegistry()))
MultiProcessCollector(r)
page = generate_latest(r).decode()
assert 'c_total{a="x\\ufffd' in page and page.count("c_total{") == 1, page
assert "2.0\\n" in page and "h_bucket{" in page and "i_info{" in page and "\\ng{" in page and "\\ne{" in page
c.remove("x\\udcff")
assert b"c_total{" not in generate_latest(r)
"""
    )


def test_lone_surrogates_natively(registry):
    counter = Counter("c", "help", ["a"], registry=registry)
    counter.labels("x\udcff").inc()
    counter.labels(a="x\udcff").inc()
    Info("i", "help", registry=registry).info({"v": "\udcff"})
    states = Enum("e", "help", states=["on", "\udc00"], registry=registry)
    states.state("\udc00")
    page = shmetrics.generate_latest(registry).decode()
    assert page.count("c_total{") == 1 and "i_info{" in page


ORDERS = """
c = Counter("req", "help", %(names)s)
c.labels(method="GET", status="200", path="/").inc()
h = Histogram("h", "help", %(names)s)
h.labels(method="GET", status="200", path="/").observe(1)
g = Gauge("g", "help", %(names)s, multiprocess_mode="sum")
g.labels(method="GET", status="200", path="/").inc(2)
s = Summary("s", "help", %(names)s)
s.labels(method="GET", status="200", path="/").observe(3)
e = Enum("e", "help", %(names)s, states=["on", "off"])
e.labels(method="GET", status="200", path="/").state("off")
"""
EXPECTED = {"req_total": 6, "h_count": 6, "g": 12, "s_sum": 18}


@pytest.mark.parametrize("package", ["prometheus_client", "shmetrics"])
def test_label_names_are_a_set(package, program, tmp_path):
    """Each process has them in another order: their hashes differ."""
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    names = ["{'method', 'status', 'path'}"] * 4 + ["['path', 'method', 'status']", "('status', 'path', 'method')"]
    for seed, names in enumerate(names):
        code = "import warnings; warnings.simplefilter('error')\nfrom %s import *\n" % package + ORDERS % {"names": names}
        program(code, PYTHONHASHSEED=str(seed), **environment)
    out = program(
        BEGIN + "show([s for s in samples() if s[1] and len(s[1]) == 3 or s[0] == 'h_count'])"
        if package == "prometheus_client"
        else "import json\nfrom shmetrics import REGISTRY\nprint(json.dumps([(s.name, sorted(s.labels.items()), s.value) "
        "for m in REGISTRY.collect() for s in m.samples]))",
        **environment,
    )
    found = {name: value for name, labels, value in json.loads(out) if ["path", "/"] in labels and len(labels) == 3}
    for name, value in EXPECTED.items():
        assert found[name] == value, (name, found)


def test_removal_with_labels_in_another_order(dropin):
    dropin(
        """
c = Counter("c", "help", ["a", "b"])
c.labels("1", "2").inc()
@in_child
def removes():
    other = Counter("c", "help", ["b", "a"], registry=None)
    other.labels("2", "1").inc()
    assert samples() == [("c_total", [("a", "1"), ("b", "2")], 2.0)], samples()
    other.remove("2", "1")
    assert samples() == []
    other.labels(a="1", b="2").inc()
    other.remove_by_labels({"b": "2"})
    assert samples() == []
c.labels("1", "2").inc(5)
assert samples() == [("c_total", [("a", "1"), ("b", "2")], 5.0)], samples()
"""
    )


def test_total_in_a_name_twice(both):
    ours, peers = both(
        """
Counter("x_total_total", "help", registry=None).inc(2)
c = Counter("y_total_total", "help", ["a"], unit="bytes", registry=None)
c.labels("1").inc(3)
c.labels("2").inc(3)
c.remove("1") if SWITCH else None
show(samples())
""".replace("SWITCH", "'SHMETRICS_PYTHON' not in os.environ")
    )
    assert ours == [s for s in peers if s[1] != [["a", "1"]]]


def test_total_in_a_name_twice_natively(registry):
    Counter("x_total_total", "help", registry=registry).inc(2)
    Counter("y", "help", registry=registry).inc(3)
    assert (registry.get_sample_value("x_total_total"), registry.get_sample_value("y_total")) == (2, 3)
    assert [m.name for m in registry.collect()] == ["x_total", "y"]
    assert [s.name for s in Counter("x_total_total", "help", registry=registry).collect()[0].samples] == ["x_total_total"]


SHOWN = """
def single(metric):
    # Beside the collector of all processes, which prometheus_client leaves these out of.
    return samples() if SWITCH else samples(r)
r = CollectorRegistry()
""".replace("SWITCH", "'SHMETRICS_PYTHON' not in os.environ")


def test_enums_and_infos_are_shown_as_in_one_process(both):
    ours, peers = both(
        SHOWN
        + """
out = []
e = Enum("e", "help", states=["a", "b"], registry=r)
i = Info("i", "help", registry=r)
l = Info("l", "help", ["of"], registry=r)
le = Enum("le", "help", ["of"], states=["a", "b"], registry=r)
out.append(single(e))
e.state("b")
i.info({"version": "1"})
l.labels("x").info({"v": "1"})
l.labels("y")
le.labels("x")
le.labels("y").state("b")
out.append([s for s in single(e) if s[1] != [("of", "y")]])
i.info({"build": "2", "commit": "3"})
l.labels("x").info({"w": "2"})
out.append([s for s in single(e) if s[1] != [("of", "y")]])
i.info({"version": "1"})
out.append(single(e))
le.remove("y")
out.append(single(e))
le.labels("y").state("a")
out.append(single(e))
le.clear()
le.labels("y").state("b")
l.remove("x")
l.clear()
out.append(single(e))
show(out)
"""
    )
    for mine, theirs in zip(ours, peers):
        # An info of labels about which nothing was said is not shown once more is known about
        # others.
        theirs = [s for s in theirs if s[:2] != ["l_info", [["of", "y"]]]]
        assert [s for s in mine if s[:2] != ["l_info", [["of", "y"]]]] == theirs


def test_infos_of_several_processes_with_other_keys(registry):
    def infos() -> "list[dict[str, str]]":
        found = [s.labels for m in registry.collect() for s in m.samples if s.name == "i_info"]
        return sorted(({k: v for k, v in labels.items() if v} for labels in found), key=str)

    info = Info("i", "help", registry=registry)
    assert infos() == [{}]
    info.info({"version": "1"})
    in_child(lambda: Info("i", "help", registry=registry).info({"build": "2"}))
    assert infos() == [{"build": "2"}, {"version": "1"}], "another process has said it still"
    info.info({"version": "2", "x": "y"})
    assert infos() == [{"build": "2"}, {"version": "2", "x": "y"}]
    in_child(lambda: info.info({"version": "3"}))
    assert infos() == [{"build": "2"}, {"version": "3"}]
    other = Counter("other", "help", registry=registry)
    with pytest.warns(shmetrics.SegmentWarning):
        Info("other", "help", ["a"], registry=registry).labels("b").info({"a2": "c"})
    other.inc()
    assert registry.get_sample_value("other_total") == 1, "what is no info stays"


def test_an_enum_that_another_process_removed(registry):
    states = Enum("e", "help", ["a"], states=["on", "off"], registry=registry)
    states.labels("x").state("off")
    in_child(lambda: states.remove("x"))
    assert registry.get_sample_value("e", {"a": "x", "e": "off"}) is None
    states.labels("x").state("off")
    assert registry.get_sample_value("e", {"a": "x", "e": "off"}) == 1


def test_an_enum_that_another_process_removed_in_the_drop_in(dropin):
    dropin(
        """
e = Enum("e", "help", ["a"], states=["on", "off"])
e.labels("x").state("off")
in_child(e.clear)
assert samples() == []
e.labels(a="x").state("off")
assert ("e", [("a", "x"), ("e", "off")], 1.0) in samples()
"""
    )


class Doubling(Counter):
    """A subclass with a constructor of its own."""

    def __init__(self, name: str, *labels: str, registry: CollectorRegistry) -> None:
        self.calls = 0
        super().__init__(name, "Doubled.", labels, registry=registry)

    def twice(self) -> None:
        self.inc(2)


class TestSubclasses:
    def test_a_constructor_of_its_own(self, registry):
        doubling = Doubling("d", registry=registry)
        doubling.twice()
        assert doubling.get() == 2 == registry.get_sample_value("d_total")
        assert repr(doubling) == "%s.Doubling(d)" % __name__ and str(doubling) == "counter:d"

    def test_children_are_of_the_class(self, registry):
        doubling = Doubling("d", "a", registry=registry)
        doubling.labels("x").twice()
        assert type(doubling.labels("x")) is Doubling and doubling.labels(a="x") is doubling.labels("x")
        assert registry.get_sample_value("d_total", {"a": "x"}) == 2

    @pytest.mark.parametrize("make", [Gauge, Histogram, Summary, Info])
    def test_of_all_classes(self, make, registry):
        class Mine(make):
            def __init__(self, name):
                super().__init__(name, "help", ["a"], registry=registry)

        assert type(Mine("m").labels("x")) is Mine

    def test_without_the_constructor_of_the_metric(self):
        class Bad(Gauge):
            def __init__(self):
                pass

        for use in (lambda: Bad().inc(), lambda: Bad().labels("x"), lambda: Bad()._name):
            with pytest.raises(RuntimeError, match="super"):
                use()
        assert "not initialised" in repr(Bad())

    def test_initialised_twice(self, registry):
        counter = Counter("c", "help", registry=registry)
        with pytest.raises(RuntimeError, match="already"):
            counter.__init__("d", "help", registry=registry)

    def test_registered_by_hand(self, registry):
        doubling = Doubling("d", registry=registry)
        doubling.inc()
        for _ in range(2):
            registry.register(doubling)
        assert shmetrics.generate_latest(registry).count(b"\nd_total 1.0\n") == 1

    def test_registered_with_prometheus_client(self, registry):
        import prometheus_client

        doubling, histogram = Doubling("d", "a", registry=registry), Histogram("h", "help", registry=registry, buckets=[1])
        theirs = prometheus_client.CollectorRegistry(auto_describe=True)
        theirs.register(doubling)
        theirs.register(histogram)
        doubling.labels("x").twice()
        histogram.observe(0.5)
        page = prometheus_client.generate_latest(theirs).decode()
        assert 'd_total{a="x"} 2.0\n' in page and "# HELP d_total Doubled.\n" in page and "h_count 1.0\n" in page
        with pytest.raises(ValueError, match="Duplicated"):
            theirs.register(Counter("d", "Doubled.", ["a"], registry=registry))

    def test_in_the_drop_in(self, both):
        ours, peers = both(
            """
class Mine(Counter):
    def __init__(self, name, documentation, labelnames=(), **kwargs):
        self.prefix = name
        super().__init__("mine_" + name if not name.startswith("mine_") else name, documentation, labelnames, **kwargs)
    def twice(self):
        self.inc(2)
r = CollectorRegistry()
m = Mine("x", "help", ["a"], registry=r)
m.labels("1").twice()
m.labels(a="1").inc()
class Shown(Gauge):
    def _metric_init(self):
        super()._metric_init()
        self._value.set(7)
Shown("g", "help", ["a"], multiprocess_mode="max").labels("z")
try:
    r.register(m)
except registries.DuplicateTimeseries if hasattr(registries, "DuplicateTimeseries") else ValueError as error:
    print(end="")
show([samples(), type(m.labels("1")).__name__, samples(r)])
"""
        )
        assert ours == peers


class TestCopies:
    def test_natively(self, registry):
        for metric in (Counter("c", "help", registry=registry), Info("i", "help", registry=registry)):
            assert copy.copy(metric)._name == metric._name
            for fails in (copy.deepcopy, pickle.dumps):
                with pytest.raises(TypeError):
                    fails(metric)
        copy.copy(Counter("c", "help", registry=registry)).inc()
        assert registry.get_sample_value("c_total") == 1

    def test_in_the_drop_in(self, both):
        ours, peers = both(
            """
import copy, pickle
out = []
for metric in (Counter("c", "help"), Gauge("g", "help", multiprocess_mode="sum"), Histogram("h", "help"), Summary("s", "help")):
    for how in (copy.copy, copy.deepcopy, pickle.dumps):
        try:
            out.append(type(how(metric)).__name__)
        except Exception as error:
            out.append(type(error).__name__)
copied = copy.copy(Counter("d", "help", ["a"]))
copied.labels("x").inc(3)
show([out, samples()])
"""
        )
        assert ours[1] == peers[1]
        fails = [[what.endswith("Error") for what in of] for of in (ours[0], peers[0])]
        assert fails[0] == fails[1], (ours, peers)


DESCRIBE = """
import inspect
import prometheus_client.openmetrics.exposition, prometheus_client.multiprocess, prometheus_client.values
found = {}
def describe(where, of):
    for name in sorted(dir(of)):
        value = getattr(of, name)
        value = getattr(value, "__func__", value)
        if callable(value) and not isinstance(value, type) and hasattr(value, "__code__"):
            try:
                signature = str(inspect.signature(value))
            except (TypeError, ValueError):
                continue
            found[where + "." + name] = [value.__name__, value.__qualname__, value.__module__, value.__doc__, signature]
for module in (metrics, prometheus_client.exposition, prometheus_client.openmetrics.exposition, prometheus_client.multiprocess,
               prometheus_client):
    describe(module.__name__, module)
    for name, of in sorted(vars(module).items()):
        if isinstance(of, type) and of.__module__.startswith("prometheus_client") and not name.endswith("Value"):
            describe(module.__name__ + "." + name, of)
            found[module.__name__ + "." + name] = [of.__name__, of.__qualname__, of.__module__, str(inspect.signature(of))]
found["values"] = [str(inspect.signature(f)) for f in (prometheus_client.values.MultiProcessValue, prometheus_client.values.get_value_class)]
import re
show(json.loads(re.sub("0x[0-9a-f]+", "0x", json.dumps(found))))
"""
#: Patched functions and classes that differ from prometheus_client's own in name, signature or
#: docstring; and why.
DIFFERENT = {
    "prometheus_client.multiprocess.MultiProcessCollector.segment": "the collector's segment",
}


def test_patched_methods_look_as_before(both):
    ours, peers = both("import prometheus_client\n" + DESCRIBE)
    differences = {name for name in {*ours, *peers} if ours.get(name) != peers.get(name)} - set(DIFFERENT)
    assert not differences, {name: (ours.get(name), peers.get(name)) for name in differences}


def test_a_timer_of_several_threads(registry):
    """It raised "Already borrowed", as it was borrowed while Python code ran."""

    class Slow(Histogram):
        def observe(self, amount, exemplar=None):
            entered.set()
            assert go_on.wait(120)
            super().observe(amount, exemplar)

    entered, go_on, errors = threading.Event(), threading.Event(), []
    histogram = Slow("h", "help", registry=registry)
    timer = histogram.time()

    def work():
        try:
            with timer:
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert entered.wait(120)
    assert timer.__enter__() is timer, "while the thread is in observe()"
    go_on.set()
    timer.__exit__(None, None, None)
    thread.join()
    assert errors == [] and registry.get_sample_value("h_count") == 2 and timer.duration >= 0


def test_labels_of_a_timer(registry):
    histogram = Histogram("h", "help", ["a"], registry=registry)
    timer = histogram.time()
    assert timer.duration is None
    with pytest.raises(RuntimeError, match="with"):
        timer.__exit__(None, None, None)
    with timer as t:
        t.labels(a="x")
        with pytest.raises(ValueError, match="already has labels"):
            t.labels("y")
    assert registry.get_sample_value("h_count", {"a": "x"}) == 1


def test_an_exemplar_whose_destructor_counts(dropin):
    """It was dropped under the lock of the value that its destructor asked for."""
    dropin(
        """
import faulthandler; faulthandler.dump_traceback_later(240, exit=True)
c, h = Counter("c", "help"), Histogram("h", "help")
class Counting(str):
    def __del__(self):
        c._value.get_exemplar(), h._shmetrics.get_exemplar(3)
        c.inc(1, {"from": "destructor"})
        h.observe(0.03, {"from": "destructor"})
for _ in range(5):
    c.inc(1, {"trace": Counting("x")})
    h.observe(0.03, {"trace": Counting("y")})
    c._value.set_exemplar(None)
"""
    )


def test_children_that_others_remove_are_not_kept(dropin):
    dropin(
        """
import gc, weakref
c = Counter("c", "help", ["a"])
kept = [weakref.ref(c.labels(str(i))) for i in range(1023)]
in_child(c.clear)
for i in range(1100):
    c.labels("new %d" % i)
gc.collect()
assert sum(child() is not None for child in kept) == 0
"""
    )


def test_wrong_labels_say_the_same(both):
    ours, peers = both(
        """
out = []
c, plain = Counter("c", "help", ["a", "b"]), Counter("p", "help")
class Odd:
    def __str__(self):
        raise AttributeError("odd")
for f in (lambda: c.labels("1"), lambda: c.labels(a="1"), lambda: c.labels("1", b="2"), lambda: c.labels(a="1", c="2"), lambda: c.labels(),
          lambda: plain.labels("1"), lambda: plain.labels(), lambda: c.labels("1", "2").labels("3"), lambda: c.inc(),
          lambda: c.labels(Odd(), "2"), lambda: c.remove("1"), lambda: plain.remove(), lambda: c.labels("1", 2, a=3),
          lambda: c.remove_by_labels({"z": "1"}), lambda: c.remove_by_labels(["a"]), lambda: plain.inc(-1),
          lambda: Enum("e1", "help", states=["a"]).state("b"), lambda: Enum("e2", "help"), lambda: Enum("e3", "help", ["e3"], states=["a"]),
          lambda: Info("i", "help").info({"a": None}), lambda: Gauge("g", "help", multiprocess_mode="x"),
          lambda: Gauge("g2", "help", multiprocess_mode="mostrecent").inc()):
    try:
        f()
        out.append("nothing")
    except Exception as error:
        out.append([type(error).__name__, str(error)])
class Text(str):
    pass
c.labels(Text("x"), 1).inc()
c.labels(a="x", b=1.0).inc()
c.labels(b=True, a=None).inc()
show([out, [s for s in samples() if s[0] not in ("e1", "i_info")]])
"""
    )
    assert ours == peers


@pytest.mark.skipif(sys.version_info < (3, 10), reason="PyO3 has no signatures for 3.9")
def test_signatures_of_native_methods():
    import prometheus_client

    for name in ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"):
        mine, theirs = getattr(shmetrics, name), getattr(prometheus_client, name)
        for method in sorted(dir(theirs)):
            if method.startswith("_") or not callable(getattr(theirs, method)):
                continue
            ours, peers = (list(inspect.signature(getattr(of, method)).parameters.values())[1:] for of in (mine, theirs))
            # What stands for Exception cannot be written down in C.
            defaults = {None: Exception} if method == "count_exceptions" else {}
            shown = [(p.name, p.kind, defaults.get(p.default, p.default)) for p in ours]
            assert shown == [(p.name, p.kind, p.default) for p in peers], (name, method)
