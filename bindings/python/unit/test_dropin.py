"""The drop-in beyond what prometheus_client's own tests look at: each program starts with the hook
that is installed.
"""

from __future__ import annotations

import os
import sys

import pytest
from processes import IN_CHILD

BEGIN = """
import os, warnings
warnings.simplefilter("error")
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary, generate_latest, values
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
registry = CollectorRegistry()
MultiProcessCollector(registry)
value = registry.get_sample_value
""" + IN_CHILD


@pytest.fixture
def dropin(program, tmp_path):
    directory = tmp_path / "multiproc"
    directory.mkdir()

    def run(code: str, **environment: str) -> str:
        environment.setdefault("PROMETHEUS_MULTIPROC_DIR", str(directory))
        out = program(BEGIN + code, **environment)
        assert set(os.listdir(directory)) <= {"gauge_max_shmetrics.db"}, "the marker alone"
        return out

    return run


def test_what_files_do_not_keep(dropin):
    """Exemplars, units, infos and enums, which prometheus_client leaves out in multiprocess mode."""
    dropin(
        """
c = Counter("c", "help", ["a"], unit="bytes")
in_child(lambda: c.labels("x").inc(2, {"trace_id": "abc"}))
Info("i", "help").info({"version": "1"})
e = Enum("e", "help", states=["a", "b"])
in_child(lambda: e.state("b"))
Histogram("h", "help").observe(0.2, {"trace_id": "def"})
page = openmetrics(registry).decode()
for expected in ("# UNIT c_bytes bytes", 'c_bytes_total{a="x"} 2.0 # {trace_id="abc"} 2.0 ', 'i_info{version="1"} 1.0', 'e{e="b"} 1.0',
                 'h_bucket{le="0.25"} 1.0 # {trace_id="def"} 0.2 '):
    assert expected in page, expected
assert page.count("# EOF") == 1 and page.endswith("# EOF\\n") and "_created" not in page
assert value("i_info", {"version": "1"}) == 1
"""
    )


def test_created_on_request(dropin):
    dropin("Counter('c', 'help').inc()\nassert b'c_created ' in openmetrics(registry)", SHMETRICS_CREATED="1")


def test_native_histograms_on_request(dropin):
    dropin(
        """
import shmetrics
Histogram("h", "help").observe(0.2)
page, _ = shmetrics.render_for("application/openmetrics-text; version=2.0.0")
assert b"schema:3" in page and value("h_bucket", {"le": "0.25"}) == 1
h = Histogram("labelled", "help", ["a"])
h.labels("x").observe(1)
h.remove("x")
assert value("labelled_count", {"a": "x"}) is None
""",
        SHMETRICS_NATIVE_FACTOR="1.1",
    )


def test_removal_is_for_all_processes_and_says_nothing(dropin):
    dropin(
        """
c = Counter("c", "help", ["a", "b"])
for a in "xy":
    for b in "12":
        c.labels(a, b).inc()
kept = c.labels("x", "1")
in_child(lambda: c.remove("x", "1"))
assert value("c_total", {"a": "x", "b": "1"}) is None
kept.inc()
c.labels("x", "1").inc()
assert value("c_total", {"a": "x", "b": "1"}) == 1
in_child(lambda: c.remove_by_labels({"a": "y"}))
assert value("c_total", {"a": "y", "b": "2"}) is None
c.clear()
assert list(registry.collect()) == []
h = Histogram("h", "help", ["a"])
h.labels("x").observe(1)
in_child(h.clear)
h.labels(a="x").observe(1)
assert value("h_count", {"a": "x"}) == 1
i = Info("i", "help", ["a"])
i.labels("x").info({"v": "1"})
i.remove("x")
assert value("i_info", {"a": "x", "v": "1"}) is None
"""
    )


def test_shares_and_totals(dropin):
    dropin(
        """
c, h, s = Counter("c", "help"), Histogram("h", "help", buckets=[1]), Summary("s", "help")
g = Gauge("g", "help", multiprocess_mode="livesum")
def count(n):
    c.inc(n); h.observe(n); s.observe(n); g.set(n)
def child():
    assert (c._value.get(), h._sum.get(), s._count.get(), g._value.get()) == (0, 0, 0, 0)
    count(3)
    assert (c._value.get(), h._sum.get(), s._sum.get(), g._value.get()) == (3, 3, 3, 3)
    assert value("g") == 8
    c.reset()
    assert c._value.get() == 0
count(5)
in_child(child)
assert (c._value.get(), h._sum.get(), [b.get() for b in h._buckets], s._count.get()) == (5, 5, [0, 1], 1)
assert (value("c_total"), value("h_count"), value("h_sum"), value("s_count"), value("g")) == (5, 2, 8, 2, 5)
assert prometheus_client.REGISTRY.get_sample_value("h_count") == 1
"""
    )


def test_metrics_beside_the_collector_are_there_once(dropin):
    dropin(
        """
registry = CollectorRegistry(support_collectors_without_names=True)
MultiProcessCollector(registry)
Counter("c", "help", ["a"], registry=registry).labels("x").inc()
Gauge("g", "help", registry=registry, multiprocess_mode="max").set(1)
class Others:
    def collect(self):
        metric = prometheus_client.Metric("jobs", "help", "gauge")
        metric.add_sample("jobs", {}, 3)
        yield metric
registry.register(Others())
registry.set_target_info({"env": "prod"})
for page in (generate_latest(registry).decode(), openmetrics(registry).decode()):
    for line in ('c_total{a="x"} 1.0', "g 1.0", "jobs 3.0", 'target_info{env="prod"} 1.0'):
        assert page.count(line + "\\n") == 1, (line, page)
    assert page.count("# EOF\\n") <= 1
restricted = registry.restricted_registry(["c_total", "jobs"])
assert generate_latest(restricted).decode().count("\\n") == 6
"""
    )


def test_other_threads_make_children_meanwhile(dropin):
    """A child has its parent's attributes, and a thread that makes another child adds some."""
    dropin(
        """
class Adds(str):
    def startswith(self, *arguments):
        c.__dict__["_shmetrics_added"] = True
        return super().startswith(*arguments)
c = Counter("c", "help", ["a"])
c.__dict__[Adds("_shmetrics_of_a_thread")] = True
c.labels("x").inc()
assert value("c_total", {"a": "x"}) == 1
"""
    )


def test_set_function(dropin):
    dropin(
        """
values = iter([1.0, 2.0, 3.0])
g = Gauge("g", "help", multiprocess_mode="livesum")
g.set_function(lambda: next(values))
assert b"\\ng 2.0\\n" in generate_latest(registry)
"""
    )


def test_identities_of_ones_own(dropin):
    dropin(
        """
who = 7
values.ValueClass = values.MultiProcessValue(lambda: who)
g = Gauge("g", "help", multiprocess_mode="liveall")
g.set(1)
who = 8
g.inc(2)
assert value("g", {"pid": "7"}) == 1 and value("g", {"pid": "8"}) == 2
mark_process_dead(7)
assert value("g", {"pid": "7"}) is None
def child():
    global who
    who = 9
    g.set(3)
    assert value("g", {"pid": "9"}) == 3 and value("g", {"pid": "8"}) == 2
in_child(child)
assert value("g", {"pid": "9"}) is None
"""
    )


def test_an_identity_that_is_no_number(dropin):
    dropin(
        """
values.ValueClass = values.MultiProcessValue(lambda: "worker_1")
Gauge("g", "help", multiprocess_mode="liveall").set(1)
assert value("g", {"pid": str(os.getpid())}) == 1
"""
    )


def test_files_of_others_are_read(program, tmp_path):
    directory = tmp_path / "multiproc"
    directory.mkdir()
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(directory)}
    program(BEGIN + 'Counter("old", "help").inc(4)\nCounter("c", "help").inc(9)', SHMETRICS_PYTHON="0", **environment)
    assert len(os.listdir(directory)) == 1
    program(
        BEGIN
        + """
Counter("c", "help").inc()
assert (value("old_total"), value("c_total")) == (4, 10), "they are added up"
page = generate_latest(registry).decode()
assert "old_total 4.0\\n" in page and "c_total 10.0\\n" in page
""",
        **environment,
    )


def test_refused_families_count_in_their_process(dropin):
    dropin(
        """
Counter("c", "help", ["a"]).labels("x").inc()
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    other = Counter("c", "help", ["b"], registry=None)
    other.labels("x").inc()
    other.labels("y").inc(2, {"a": "b"})
    gauge = Gauge("c_total", "help", registry=None)
    gauge.inc()
    histogram = Histogram("c", "help", registry=None)
    histogram.observe(1)
    Summary("c", "help", registry=None).observe(1)
assert [w.category.__name__ for w in said] == ["SegmentWarning", "SegmentWarning"], [str(w.message) for w in said]
assert other.labels("y")._value.get() == 2 and gauge._value.get() == 1 and histogram._sum.get() == 1
assert value("c_total", {"a": "x"}) == 1
"""
    )


def test_parts_of_histograms_that_are_made_by_hand(dropin):
    """By metric classes of the application. They are counted in the process, which is told."""
    dropin(
        """
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for name in ("s_sum", "s_count"):
        values.ValueClass("summary", "s", name, (), (), "help").inc(2)
(warned,) = said
assert "a part of a summary is not shared: let the classes Histogram and Summary" in str(warned.message), warned.message
assert warned.filename == "<string>" and value("s_sum") is None
"""
    )


def test_no_unit(dropin):
    """None is none, as for prometheus_client."""
    dropin(
        """
for of in (Counter, Gauge, Histogram, Summary):
    of("a_" + of.__name__, "help", unit=None, namespace=None, subsystem=None)
    of("b_" + of.__name__, "help", ["x"], unit=None).labels("1")
for name in ("Counter_total", "Histogram_count", "Summary_count"):
    assert value("a_" + name) == 0 and value("b_" + name, {"x": "1"}) == 0
assert value("a_Gauge", {"pid": str(os.getpid())}) == 0 and value("b_Gauge", {"x": "1", "pid": str(os.getpid())}) == 0
"""
    )


def test_texts_that_are_no_texts(dropin):
    """prometheus_client takes them, and cannot show a page."""
    dropin(
        """
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    Counter("c", None).inc()
    Enum("e", "help", states=[1, 2]).state(2)
Counter("d", "help").inc()
assert len(said) == 2 and all("give texts as its name, documentation, labels and states" in str(w.message) for w in said)
assert "d_total 1.0" in generate_latest(registry).decode() and value("c_total") is None
"""
    )


def test_a_native_metric_is_not_replaced_in_its_own_process(dropin):
    """Where the same program has a metric of the native API by that name. One of an earlier start is
    replaced.
    """
    out = dropin(
        """
import shmetrics
for name, kind in (("orders_total", shmetrics.Counter), ("level", shmetrics.Gauge)):
    kind(name, "Native.", ["shop"]).labels("a").inc(3)
told = []
warnings.showwarning = lambda message, *rest: told.append(str(message))
warnings.simplefilter("always")
Counter("orders", "Of the drop-in.", ["country"], registry=None).labels("x").inc()
Gauge("level", "Of the drop-in.", registry=None, multiprocess_mode="livesum").set(1)
page = generate_latest(registry).decode().splitlines()
print([line for line in page if line.startswith(("orders_total", "level"))])
print(len(told), all("counted in this process only" in text for text in told))
"""
    )
    lines, count = out.splitlines()
    assert [line.replace('pid="', "") for line in eval(lines)][0] == 'orders_total{shop="a"} 3.0'
    assert len(eval(lines)) == 2 and 'shop="a"' in eval(lines)[1]
    assert count == "2 True"


def test_infos_and_enums_that_are_refused(dropin):
    dropin(
        """
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    Info("shmetrics_x", "help").info({"a": "b"})
    Info("i", "help").info({"__a": "b"})
    e = Enum("shmetrics_y", "help", ["a"], states=["a", "b"])
    e.labels("x").state("b")
    e.remove("x")
assert [w.category.__name__ for w in said] == ["SegmentWarning"] * 3, [str(w.message) for w in said]
assert prometheus_client.REGISTRY.get_sample_value("i_info", {"__a": "b"}) == 1
"""
    )


@pytest.mark.parametrize("switch", ["0", "off", "False"])
def test_switched_off(switch, program, tmp_path):
    out = program("from prometheus_client import values\nprint(values.ValueClass.__module__)",
                  PROMETHEUS_MULTIPROC_DIR=str(tmp_path), SHMETRICS_PYTHON=switch)
    assert out == "prometheus_client.values\n"


@pytest.mark.parametrize("remove", ["del os.environ['PROMETHEUS_MULTIPROC_DIR']", "os.environ['PROMETHEUS_MULTIPROC_DIR'] = ''", "os.environ.clear()"])
def test_a_variable_that_is_removed_by_the_program(remove, dropin):
    """To hide it from its children. prometheus_client goes on with the files that it has open."""
    dropin(
        """
c = Counter("c", "help", ["a"])
c.labels("1").inc()
%s
c.labels("2").inc()
in_child(lambda: c.labels("3").inc())
Histogram("h", "help").observe(1)
Info("i", "help").info({"a": "b"})
in_child(lambda: Gauge("g", "help", multiprocess_mode="max").set(7))
c.remove("1")
assert [value("c_total", {"a": a}) for a in "123"] == [None, 1, 1]
assert value("h_count") == 1 and value("i_info", {"a": "b"}) == 1 and value("g") == 7
"""
        % remove
    )


def test_a_variable_that_is_removed_before_the_first_metric(dropin):
    dropin(
        """
path = os.environ.pop("PROMETHEUS_MULTIPROC_DIR")
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for name in "ab":
        Counter(name, "help").inc()
(warned,) = said
assert "removed from the environment before the first metric" in str(warned.message) and warned.filename == "<string>"
os.environ["PROMETHEUS_MULTIPROC_DIR"] = path
Counter("c", "help").inc()
assert value("c_total") == 1 and value("a_total") is None
"""
    )


def test_without_the_variable_nothing_is_opened(program, shm):
    out = program(
        """
import sys
from prometheus_client import Counter, values
Counter("c", "help").inc()
print(values.ValueClass.__name__)
"""
    )
    assert (out, os.listdir(shm)) == ("MutexValue\n", [])


def test_the_lower_case_variable(program, tmp_path):
    out = program("from prometheus_client import Counter\nprint(type(Counter('c', 'help')._value).__name__)",
                  prometheus_multiproc_dir=str(tmp_path))
    assert out == "CounterValue\n"


def test_a_variable_that_is_set_by_the_program(program, tmp_path, shm):
    """As inference servers do: they make the directory, set the variable and import then."""
    program(
        """
import os
os.mkdir("later")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = "later"
from prometheus_client import Counter
Counter("c", "help").inc()
assert os.listdir("later") == ["gauge_max_shmetrics.db"]
"""
    )
    assert len(os.listdir(shm)) == 1


def test_values_that_are_asked_for_by_hand(program, tmp_path, shm):
    """As prometheus_client's own tests do, in a process that is not in multiprocess mode when it
    imports the package.
    """
    (tmp_path / "later").mkdir()
    program(
        """
import os, sys
from prometheus_client import CollectorRegistry, Counter, multiprocess, values
from prometheus_client.values import MultiProcessValue
assert not any(name.startswith("shmetrics") for name in sys.modules)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = "later"
values.ValueClass = MultiProcessValue(lambda: 123)
Counter("c", "help", registry=None).inc(2)
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
assert registry.get_sample_value("c_total") == 2
assert not [name for name in os.listdir("later") if name.startswith("counter")]
"""
    )


def test_modules_that_are_imported_again(dropin):
    """As tests of other people do, to have other settings."""
    dropin(
        """
import importlib, sys
first = Counter("c", "help")
first.inc()
for name in [name for name in sys.modules if name.startswith("prometheus_client")]:
    del sys.modules[name]
import prometheus_client as again
assert again.Counter is not Counter
second = again.Counter("c", "help")
second.inc()
assert type(second._value).__name__ == "CounterValue"
assert value("c_total") == 2
importlib.reload(again.values)
assert type(again.Counter("d", "help")._value).__name__ == "CounterValue"
"""
    )


def test_a_package_that_cannot_be_imported_is_a_warning(program, tmp_path):
    out = program(
        """
import sys, warnings
sys.modules["shmetrics._dropin"] = None
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    from prometheus_client import Counter
print(type(Counter("c", "help")._value).__name__, len(said) > 0)
""",
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
    )
    assert out == "MmapedValue True\n"


def test_the_start_entry_point():
    """What Python 3.15 reads instead of the .pth file."""
    import importlib
    import pathlib

    import _shmetrics_hook

    site = pathlib.Path(_shmetrics_hook.__file__).parent
    module, _, function = (site / "shmetrics.start").read_text().strip().partition(":")
    before = list(sys.meta_path)
    getattr(importlib.import_module(module), function)()
    assert sys.meta_path == before, "it is there once"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="versions of that time are enough")
def test_install_without_the_hook(program, tmp_path):
    program(
        """
import shmetrics._dropin
shmetrics._dropin.install()
from prometheus_client import Counter, generate_latest, exposition
assert generate_latest is exposition.generate_latest
assert type(Counter("c", "help")._value).__name__ == "CounterValue"
""",
        arguments=(sys.executable, "-S", "-c", "import sys; sys.path += %r; exec(sys.argv[1])" % [p for p in sys.path if p.endswith("-packages")]),
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
    )
