"""Bundles: metrics with the same labels, which one look-up finds."""

from __future__ import annotations

import copy
import gc
import pathlib
import threading
import weakref

import pytest
from processes import in_child

import shmetrics
from shmetrics import Bundle, Counter, Gauge, Histogram, SegmentWarning, Summary

LABELS = ["method", "status"]


def members(**more):
    return {
        "requests": Bundle.counter("requests", "Requests."),
        "latency": Bundle.histogram("latency_seconds", "Latency.", buckets=[0.5, 1]),
        "busy": Bundle.gauge("busy", "In progress.", multiprocess_mode="livesum"),
        **more,
    }


@pytest.fixture
def http(registry):
    return Bundle(LABELS, members(), registry=registry)


def update(entry, *amounts) -> None:
    """Updates the first members by these amounts."""
    for child, amount in zip(entry, amounts):
        (child.observe if isinstance(child, (Histogram, Summary)) else child.inc)(amount)


def value(registry, name, method="GET", status="200"):
    return registry.get_sample_value(name, {"method": method, "status": status})


class TestEntries:
    def test_have_ordinary_children(self, http, registry):
        entry = http.labels("GET", 200)
        assert [type(child) for child in entry] == [Counter, Histogram, Gauge]
        entry.requests.inc(2, {"trace_id": "x"})
        entry.latency.observe(0.75)
        with entry.busy.track_inprogress(), entry.latency.time():
            assert entry.busy.get() == 1 == value(registry, "busy")
        assert value(registry, "requests_total") == 2 == entry.requests.get()
        assert value(registry, "latency_seconds_count") == 2 == entry.latency.count()
        assert value(registry, "latency_seconds_sum") == entry.latency.sum() > 0.75
        assert entry.requests._labelvalues == ("GET", "200") and entry.requests._labelnames == ("method", "status")
        assert entry.latency._name == "latency_seconds"
        with pytest.raises(ValueError, match="chain"):
            entry.requests.labels("x")

    def test_are_the_same_object(self, http):
        entry = http.labels("GET", "200")
        assert http.labels("GET", 200) is entry
        assert http.labels(status="200", method="GET") is entry
        assert http.labels("POST", "200") is not entry

    def test_are_sequences(self, http):
        entry = http.labels("GET", "200")
        requests, latency, busy = entry
        assert (requests, latency, busy) == (entry.requests, entry.latency, entry.busy)
        assert entry[0] is requests and entry[-1] is busy and entry[1:] == (latency, busy) and len(entry) == 3
        with pytest.raises(IndexError):
            entry[3]
        assert repr(entry).startswith("shmetrics.BundleEntry(shmetrics.Counter(requests), ")

    def test_do_not_change(self, http):
        entry = http.labels("GET", "200")
        for change in (lambda: setattr(entry, "requests", 1), lambda: delattr(entry, "requests"), lambda: setattr(entry, "x", 1)):
            with pytest.raises((AttributeError, NotImplementedError)):
                change()
        with pytest.raises(AttributeError):
            entry.unknown

    def test_made_by_hand_say_so(self, http):
        with pytest.raises(RuntimeError, match="not initialised"):
            list(type(http.labels("GET", "200"))())

    def test_wrong_labels(self, http):
        for call, why in [
            (lambda: http.labels("GET"), "count"),
            (lambda: http.labels(method="GET", code="200"), "names"),
            (lambda: http.labels("GET", status="200"), "both"),
            (lambda: http.members.requests.inc(), "missing label values"),
        ]:
            with pytest.raises(ValueError, match=why):
                call()


class TestMembers:
    def test_of_each_type(self, registry):
        types = {
            "counter": Bundle.counter("a", "A."),
            "last": Bundle.gauge("b", "B.", multiprocess_mode="mostrecent"),
            "summary": Bundle.summary("c", "C.", quantiles=[0.5]),
            "state": Bundle.enum("d", "D.", states=["off", "on"]),
            "histogram": Bundle.histogram("e", "E.", native_factor=1.1, buckets=[1]),
        }
        entry = Bundle(["n"], types, registry=registry).labels("x")
        for amount in (2, 3):
            entry.counter.inc(amount)
            entry.last.set(amount)
            entry.summary.observe(amount)
            entry.histogram.observe(amount)
        assert (entry.counter.get(), entry.last.get(), entry.summary.count(), entry.summary.sum()) == (5, 3, 2, 5)
        assert (entry.histogram.count(), entry.state.get()) == (2, "off")
        entry.state.state("on")
        assert entry.state.get() == "on" and registry.get_sample_value("d", {"n": "x", "d": "on"}) == 1
        with pytest.raises(RuntimeError, match="mostrecent"):
            entry.last.inc()

    def test_are_many(self, registry):
        bundle = Bundle(["n"], {"m%d" % i: Bundle.counter("m%d" % i, "M.") for i in range(64)}, registry=registry)
        for i, child in enumerate(bundle.labels("x")):
            child.inc(i)
        assert [child.get() for child in bundle.labels("x")] == list(range(64))


class TestRegistration:
    def test_is_the_same_for_all_processes(self, http, registry):
        update(http.labels("GET", "200"), 1, 0.5)
        in_child(lambda: update(http.labels("GET", "200"), 2, 0.5))
        turned = Bundle(["status", "method"], members(), registry=registry)
        in_child(lambda: update(turned.labels("200", "GET"), 3, 0.5))
        assert value(registry, "requests_total") == 6 and value(registry, "latency_seconds_count") == 3

    def test_members_are_families(self, http, registry, segment):
        update(http.labels("GET", "200"), 1, 0.5)
        Counter("requests", "Requests.", LABELS, registry=registry).labels("GET", "200").inc()
        http.members.requests.labels("GET", "200").inc()
        assert value(registry, "requests_total") == 3
        assert [family.name for family in http.collect()] == ["requests", "latency_seconds", "busy"]
        assert [family.type for family in http.describe()] == ["counter", "histogram", "gauge"]
        page = segment.render()
        assert page.count(b"\n# TYPE latency_seconds histogram\n") == 1

    def test_names_and_units(self, registry):
        definitions = {"sent": Bundle.counter("sent_total", "S.", unit="bytes"), "took": Bundle.summary("took", "T.")}
        bundle = Bundle(["a"], definitions, "shop", "http", registry=registry)
        update(bundle.labels("x"), 5, 1)
        assert registry.get_sample_value("shop_http_sent_bytes_total", {"a": "x"}) == 5
        assert bundle.members.took._name == "shop_http_took"
        exact = Bundle(["a"], {"c": Bundle.counter("exact", "E.", exact_name=True)}, registry=registry)
        update(exact.labels("x"), 2)
        assert registry.get_sample_value("exact", {"a": "x"}) == 2

    def test_without_labels(self, registry):
        bundle = Bundle([], members(), registry=registry)
        update(bundle.labels(), 1, 0.5, 2)
        bundle.members.requests.inc()
        assert registry.get_sample_value("requests_total") == 2 and registry.get_sample_value("busy") == 2
        bundle.clear()
        assert registry.get_sample_value("requests_total") == 2, "what has no labels cannot be removed"
        with pytest.raises(ValueError, match="No label names were set when constructing the bundle of requests"):
            bundle.labels("x")

    @pytest.mark.parametrize(
        "arguments, error, why",
        [
            ((["a"], {}), ValueError, "0 members"),
            ((["a"], [Bundle.counter("c", "C.")]), TypeError, "dict of"),
            ((["a"], {"c": "counter"}), TypeError, "dict of"),
            ((["a"], {"_c": Bundle.counter("c", "C.")}), ValueError, "_c"),
            ((["a"], {"not a name": Bundle.counter("c", "C.")}), TypeError, "identifiers"),
            ((["a", "a"], members()), ValueError, "a"),
            ((["d"], {"d": Bundle.enum("d", "D.", states=["x"])}), ValueError, "Overlapping"),
            ((["a"], {"m%d" % i: Bundle.counter("m%d" % i, "M.") for i in range(65)}), ValueError, "65 members"),
        ],
    )
    def test_wrong_arguments(self, arguments, error, why, registry):
        with pytest.raises(error, match=why):
            Bundle(*arguments, registry=registry)

    def test_wrong_members(self):
        with pytest.raises(ValueError, match="multiprocess mode"):
            Bundle.gauge("g", "G.", multiprocess_mode="most")
        with pytest.raises(ValueError, match="sorted"):
            Bundle.histogram("h", "H.", buckets=[2, 1])
        with pytest.raises(ValueError, match="No states"):
            Bundle.enum("e", "E.", states=[])

    def test_conflict_is_a_warning(self, http, registry):
        update(http.labels("GET", "200"), 1)
        with pytest.warns(SegmentWarning, match=r"the bundle of requests, other counts nowhere.*say replace=True") as warned:
            other = Bundle(LABELS, {"r": Bundle.counter("requests", "R."), "o": Bundle.counter("other", "O.")}, registry=registry)
        assert len(warned) == 1
        update(other.labels("GET", "200"), 5, 5)
        other.labels("GET", "200").r.inc()
        other.remove("GET", "200")
        other.clear()
        assert value(registry, "requests_total") == 1 and value(registry, "other_total") is None
        assert other.labels("GET", "200").r.get() == 0 and other.members.r._segment is None

    def test_replace(self, http, registry):
        old = http.labels("GET", "200")
        update(old, 1, 0.5)
        new = Bundle(["method"], {"requests": Bundle.counter("requests", "R.")}, registry=registry, replace=True)
        update(old, 1, 0.5)
        update(new.labels("GET"), 7)
        assert registry.get_sample_value("requests_total", {"method": "GET"}) == 7
        assert value(registry, "latency_seconds_count") is None, "the old bundle is off the page as a whole"

    def test_most_label_sets(self, registry):
        bundle = Bundle(["n"], members(), registry=registry, max_series=2)
        for n in range(5):
            update(bundle.labels(n), 1)
        assert registry.get_sample_value("requests_total", {"shmetrics_overflow": "true"}) == 3

    def test_with_a_registry_of_prometheus_client(self, shm):
        import prometheus_client

        theirs, segment = prometheus_client.CollectorRegistry(), shmetrics.Segment(anonymous=True)
        update(Bundle(LABELS, members(), registry=theirs, segment=segment).labels("GET", "200"), 3)
        assert value(theirs, "requests_total") == 3
        with pytest.raises(ValueError, match="Duplicated"):
            Bundle(LABELS, members(), registry=theirs, segment=segment)

    def test_with_a_registry_of_this_package(self, http, registry):
        registry.register(http)  # it is in the segment already
        update(http.labels("GET", "200"), 1)
        assert [family.name for family in registry.collect()].count("requests") == 1
        registry.unregister(http)
        assert value(registry, "requests_total") is None


class TestRemoval:
    def test_takes_all_members(self, http, registry):
        kept = http.labels("GET", "200")
        update(kept, 1, 0.5, 1)
        update(http.labels("GET", "500"), 1)
        http.remove("GET", 200)
        assert [value(registry, name) for name in ("requests_total", "latency_seconds_count", "busy")] == [None] * 3
        update(kept, 1, 0.5, 1)
        kept.requests.inc()
        assert value(registry, "requests_total") is None
        update(http.labels("GET", "200"), 5)
        assert http.labels("GET", "200") is not kept
        assert value(registry, "requests_total") == 5 and value(registry, "latency_seconds_count") == 0
        http.remove_by_labels({"status": "500"})
        assert value(registry, "requests_total", status="500") is None and value(registry, "requests_total") == 5
        http.clear()
        assert value(registry, "requests_total") is None
        with pytest.raises(ValueError, match="expected 2"):
            http.remove("GET")
        with pytest.raises(ValueError, match="Unknown label names"):
            http.remove_by_labels({"code": "500"})

    def test_by_another_process(self, http, registry):
        kept = http.labels("GET", "200")
        update(kept, 1)
        in_child(lambda: http.remove("GET", "200"))
        update(http.labels("GET", "200"), 2)
        assert value(registry, "requests_total") == 2 and http.labels("GET", "200") is not kept

    def test_of_one_that_is_not_there(self, http):
        http.remove("GET", "404")
        update(http.labels("GET", "404"), 1)

    def test_through_a_member(self, http, registry):
        update(http.labels("GET", "200"), 1, 0.5)
        http.members.latency.remove("GET", "200")
        assert value(registry, "requests_total") is None
        update(http.labels("GET", "200"), 1)
        assert value(registry, "requests_total") == 1


class TestObjects:
    def test_threads(self, http, registry):
        def work():
            for i in range(500):
                update(http.labels("GET", i % 10), 1, 0.5, 1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(http.labels("GET", i).requests.get() for i in range(10)) == 2000

    def test_are_freed(self, registry):
        bundle = Bundle(LABELS, members(), registry=registry)
        entry = bundle.labels("GET", "200")
        known = [weakref.ref(bundle), weakref.ref(entry.requests), weakref.ref(type(entry))]
        assert copy.copy(bundle) is bundle
        del bundle, entry
        gc.collect()
        assert [of() for of in known] == [None] * 3

    def test_shown(self, http):
        assert repr(http) == "<shmetrics.Bundle: the bundle of requests, latency_seconds, busy>"
        assert repr(Bundle.counter("c", "C.")) == "shmetrics.BundleMember(c)"
        assert http._labelnames == ("method", "status")


def test_values_of_metrics(registry):
    """What tests of an application ask for."""
    histogram = Histogram("h", "H.", ["a"], registry=registry)
    summary = Summary("s", "S.", registry=registry)
    state = shmetrics.Enum("e", "E.", states=["off", "on"], registry=registry)
    histogram.labels("x").observe(2)
    in_child(lambda: (histogram.labels("x").observe(3), summary.observe(4), state.state("on")))
    assert (histogram.labels("x").count(), histogram.labels("x").sum()) == (2, 5)
    assert (summary.count(), summary.sum(), state.get()) == (1, 4, "on")
    assert isinstance(summary.count(), int)
    for ask in (histogram.count, histogram.sum):
        with pytest.raises(ValueError, match="missing label values"):
            ask()


def test_the_example_of_the_documentation(program):
    page = pathlib.Path(__file__).parents[3] / "docs" / "python.md"
    section = page.read_text().partition("### One look-up for several metrics")[2]
    example = section.partition("```python\n")[2].partition("```")[0]
    assert "HTTP.labels(method, route)" in example
    shown = program(
        example
        + """
import shmetrics
assert handle("GET", "/", lambda: HTTP.labels("GET", "/").in_progress.get()) == 1
print(shmetrics.generate_latest().decode())
"""
    )
    for line in ("http_requests_total", "http_request_seconds_count"):
        assert line + '{method="GET",route="/"} 1.0\n' in shown
    assert 'http_in_progress{method="GET",route="/"} 0.0\n' in shown
