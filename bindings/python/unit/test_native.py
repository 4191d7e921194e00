"""The native metrics: prometheus_client's signatures, and what is seen of them."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import weakref

import pytest
from processes import in_child

import shmetrics
from shmetrics import Counter, Enum, Gauge, Histogram, Info, Summary

MODES = ["all", "liveall", "min", "livemin", "max", "livemax", "sum", "livesum", "mostrecent", "livemostrecent", "shared"]


@pytest.mark.parametrize("of", [Counter, Gauge, Histogram, Summary, Info, Enum])
def test_none_is_no_part_of_a_name(of, registry):
    """As in prometheus_client."""
    more = {"states": ["a"]} if of is Enum else {}
    none = {"namespace": None, "subsystem": None, "unit": None}
    assert of("name", "help", **none, **more, registry=registry)._name == "name"
    assert of("other", "help", ["a"], None, "sub", None, registry, **more).labels("x")._name == "sub_other"


class TestCounter:
    def test_increments(self, registry):
        counter = Counter("c", "help", registry=registry)
        counter.inc()
        counter.inc(2)
        counter.inc(amount=0.5)
        assert counter.get() == 3.5 == registry.get_sample_value("c_total")

    def test_refuses_what_is_not_positive(self, registry):
        counter = Counter("c", "help", registry=registry)
        with pytest.raises(ValueError, match="non-negative"):
            counter.inc(-1)
        with pytest.raises(TypeError):
            counter.inc("1")
        assert counter.get() == 0

    def test_is_shared_by_processes(self, registry):
        counter = Counter("c", "help", ["a"], registry=registry)
        counter.labels("x").inc()
        in_child(lambda: counter.labels("x").inc(2))
        in_child(lambda: Counter("c_total", "other help", ["a"], registry=registry).labels(a="x").inc(3))
        assert registry.get_sample_value("c_total", {"a": "x"}) == 6

    def test_reset_is_for_all(self, registry):
        for counter in (Counter("c", "h", registry=registry), Counter("d", "h", ["a"], registry=registry).labels("x")):
            counter.inc(5)
            in_child(lambda c=counter: c.inc(2.5))
            counter.reset()
            assert counter.get() == 0
            counter.inc()
            assert counter.get() == 1

    def test_counts_exceptions(self, registry):
        counter = Counter("c", "help", registry=registry)

        @counter.count_exceptions((ValueError, KeyError))
        def fails(error):
            raise error

        for error in (ValueError(), KeyError(), IndexError()):
            with pytest.raises(type(error)):
                fails(error)
        with pytest.raises(ZeroDivisionError), counter.count_exceptions():
            1 / 0  # noqa: B018
        with counter.count_exceptions():
            pass
        assert counter.get() == 3

    def test_keeps_exemplars(self, registry, segment):
        Counter("c", "help", registry=registry).inc(2, {"trace_id": "abc"})
        page = shmetrics.generate_latest(registry, openmetrics=True).decode()
        assert 'c_total 2.0 # {trace_id="abc"} 2.0 ' in page
        with pytest.raises(ValueError, match="128"):
            Counter("c", "help", registry=registry).inc(1, exemplar={"a": "x" * 128})

    @pytest.mark.parametrize("exemplar", [{"a": "x" * 128}, {"a": 1}, "no dictionary"])
    def test_a_wrong_exemplar_loses_no_count(self, exemplar, registry):
        """As in prometheus_client, which counts before it raises."""
        counter, histogram = Counter("c", "help", registry=registry), Histogram("h", "help", registry=registry)
        for update in (counter.inc, histogram.observe):
            with pytest.raises((TypeError, ValueError)):
                update(2, exemplar)
        assert counter.get() == 2 and histogram.count() == 1 and histogram.sum() == 2


class TestGauge:
    @pytest.mark.parametrize("mode", MODES)
    def test_modes(self, mode, registry):
        gauge = Gauge("g", "help", registry=registry, multiprocess_mode=mode)
        gauge.set(2)
        in_child(lambda: gauge.set(5))
        found = {frozenset(s.labels.items()): s.value for m in registry.collect() for s in m.samples}
        own = frozenset({("pid", str(os.getpid()))})
        if mode == "all":
            assert found.pop(own) == 2 and list(found.values()) == [5]
        elif mode == "liveall":
            assert found == {own: 2}
        else:
            dead = {"min": 2, "max": 5, "sum": 7, "mostrecent": 5, "shared": 5}
            assert found == {frozenset(): dead.get(mode, 2)}

    def test_updates(self, registry):
        gauge = Gauge("g", "help", ["a"], registry=registry, multiprocess_mode="livesum").labels("x")
        gauge.inc()
        gauge.inc(4)
        gauge.dec(2)
        gauge.dec()
        assert gauge.get() == 2
        gauge.set_to_current_time()
        assert gauge.get() > 1.7e9

    @pytest.mark.parametrize("mode", ["mostrecent", "livemostrecent"])
    def test_most_recent_is_only_set(self, mode, registry):
        gauge = Gauge("g", "help", registry=registry, multiprocess_mode=mode)
        for update in (gauge.inc, gauge.dec, gauge.track_inprogress):
            with pytest.raises(RuntimeError, match="mostrecent"):
                update()

    def test_tracks(self, registry):
        gauge = Gauge("g", "help", registry=registry, multiprocess_mode="livesum")

        @gauge.track_inprogress()
        def nested(depth):
            return nested(depth - 1) if depth else gauge.get()

        assert (nested(3), gauge.get()) == (4, 0)

        @gauge.track_inprogress()
        async def waits():
            await asyncio.sleep(0.01)
            return gauge.get()

        async def both():
            return await asyncio.gather(waits(), waits())

        assert sorted(asyncio.run(both())) == [1, 2], "the last one is alone"
        assert gauge.get() == 0
        assert (nested.__name__, waits.__name__) == ("nested", "waits")

    def test_function(self, registry):
        gauge, values = Gauge("g", "help", registry=registry, multiprocess_mode="livesum"), iter([1, 2, 3])
        gauge.set_function(lambda: next(values))
        assert gauge.get() == 1
        assert b"\ng 2.0\n" in shmetrics.generate_latest(registry)
        shmetrics.refresh()
        assert gauge.get() == 3
        shmetrics.refresh()  # the function fails
        assert gauge.get() == 3

    def test_unknown_mode(self, registry):
        with pytest.raises(ValueError, match="Invalid multiprocess mode: most"):
            Gauge("g", "help", registry=registry, multiprocess_mode="most")


class TestHistogram:
    def test_buckets(self, registry):
        histogram = Histogram("h", "help", buckets=["1", 2, 5.0, "Inf"], registry=registry)
        for value in (1, 1.5, 100, -1):
            histogram.observe(value)
        value = registry.get_sample_value
        assert [value("h_bucket", {"le": le}) for le in ("1.0", "2.0", "5.0", "+Inf")] == [2, 3, 3, 4]
        assert (value("h_count"), value("h_sum")) == (4, 101.5)

    @pytest.mark.parametrize("buckets", [[2, 1], [], [float("inf")], ["x"]])
    def test_bad_buckets(self, buckets, registry):
        with pytest.raises(ValueError):
            Histogram("h", "help", buckets=buckets, registry=registry)

    def test_timers(self, registry):
        histogram = Histogram("h", "help", ["a"], registry=registry)
        with histogram.time() as timer:
            timer.labels("late")
        assert 0 <= timer.duration < 60

        @histogram.labels("f").time()
        def f():
            """Says what it does."""
            return 7

        @histogram.labels(a="co").time()
        async def co():
            await asyncio.sleep(0.02)

        assert f() == 7 and f.__doc__ == "Says what it does."
        asyncio.run(co())
        assert registry.get_sample_value("h_count", {"a": "f"}) == 1
        assert registry.get_sample_value("h_count", {"a": "late"}) == 1
        assert registry.get_sample_value("h_sum", {"a": "co"}) >= 0.02
        with pytest.raises(ValueError, match="missing label values"):
            with histogram.time():
                pass
        with pytest.raises(RuntimeError, match="not started"):
            histogram.time().__exit__(None, None, None)

    def test_native_buckets(self, registry):
        histogram = Histogram("h", "help", native_factor=1.1, buckets=[1], registry=registry)
        histogram.observe(0.5)
        assert registry.get_sample_value("h_bucket", {"le": "1.0"}) == 1
        accept = "application/openmetrics-text; version=2.0.0"
        assert b"schema:3" in shmetrics.render_for(accept, registry)[0]
        alone = Histogram("alone", "help", native_factor=2, native_max_buckets=10, registry=registry)
        alone.observe(3)
        assert registry.get_sample_value("alone_count") == 1
        with pytest.raises(ValueError):
            Histogram("bad", "help", native_factor=0.5, registry=registry)

    def test_exemplar_of_a_bucket(self, registry):
        Histogram("h", "help", buckets=[1], registry=registry).observe(0.5, exemplar={"trace_id": "abc"})
        page = shmetrics.generate_latest(registry, openmetrics=True).decode()
        assert 'h_bucket{le="1.0"} 1.0 # {trace_id="abc"} 0.5 ' in page


def test_summary(registry):
    summary = Summary("s", "help", ["a"], registry=registry).labels("x")
    summary.observe(2)
    with summary.time():
        pass
    assert registry.get_sample_value("s_count", {"a": "x"}) == 2
    assert registry.get_sample_value("s_sum", {"a": "x"}) >= 2


def test_quantiles(registry):
    summary = Summary("s", "help", quantiles=[0.5, 0.99], registry=registry)
    for v in range(1, 101):
        summary.observe(v)
    assert registry.get_sample_value("s", {"quantile": "0.5"}) == pytest.approx(50, rel=0.02)
    assert registry.get_sample_value("s_count") == 100
    with pytest.raises(ValueError):
        Summary("bad", "help", quantiles=[2], registry=registry)


def test_info_replaces_what_was_said(registry):
    info = Info("build", "help", ["app"], registry=registry)
    info.labels("shop").info({"version": "1", "revision": "a"})
    info.labels("shop").info({"version": "2", "revision": "b"})
    assert registry.get_sample_value("build_info", {"app": "shop", "version": "2", "revision": "b"}) == 1
    assert shmetrics.generate_latest(registry).count(b"build_info{") == 1
    with pytest.raises(ValueError, match="Overlapping"):
        info.labels("shop").info({"app": "x"})
    with pytest.raises(ValueError, match="None"):
        info.labels("shop").info({"version": None})
    with pytest.raises(ValueError, match="missing label values"):
        info.info({"version": "1"})
    info.remove("shop")
    assert b"build_info{" not in shmetrics.generate_latest(registry)
    plain = Info("plain", "help", registry=registry)
    plain.info({"v": "1"})
    assert registry.get_sample_value("plain_info", {"v": "1"}) == 1


def test_enum(registry):
    enum = Enum("state", "help", states=["starting", "running"], registry=registry)
    assert registry.get_sample_value("state", {"state": "starting"}) == 1
    in_child(lambda: enum.state("running"))
    assert registry.get_sample_value("state", {"state": "running"}) == 1
    with pytest.raises(ValueError, match="stopped"):
        enum.state("stopped")
    with pytest.raises(ValueError, match="No states"):
        Enum("e", "help", registry=registry)
    with pytest.raises(ValueError, match="Overlapping"):
        Enum("e", "help", ["e"], states=["a"], registry=registry)


class TestLabels:
    def test_same_child(self, registry):
        counter = Counter("c", "help", ["a", "b"], registry=registry)
        child = counter.labels("1", "2")
        assert child is counter.labels(1, 2) is counter.labels(b="2", a=1)
        assert isinstance(child, Counter)
        assert (child._labelvalues, counter._labelnames) == (("1", "2"), ("a", "b"))

    def test_a_subclass_of_str_is_what_str_makes_of_it(self, registry):
        class Loud(str):
            def __str__(self):
                return self.upper()

        Counter("c", "help", ["a"], registry=registry).labels(Loud("x")).inc()
        assert registry.get_sample_value("c_total", {"a": "X"}) == 1

    def test_errors(self, registry):
        counter, plain = Counter("c", "help", ["a", "b"], registry=registry), Counter("d", "help", registry=registry)
        for wrong, message in [
            (lambda: counter.labels("x"), "Incorrect label count"),
            (lambda: counter.labels(), "Incorrect label count"),
            (lambda: counter.labels(a="x"), "Incorrect label names"),
            (lambda: counter.labels(a="x", c="y"), "Incorrect label names"),
            (lambda: counter.labels("x", b="y"), "Can't pass both"),
            (lambda: counter.labels("x", "y").labels("x", "y"), "already has labels"),
            (lambda: plain.labels("x"), "No label names"),
            (lambda: plain.remove("x"), "No label names"),
            (lambda: plain.remove_by_labels({"a": "x"}), "No label names"),
            (lambda: counter.remove("x"), "Incorrect label count"),
            (lambda: counter.remove_by_labels({"c": "x"}), "Unknown label names"),
            (lambda: counter.inc(), "missing label values"),
            (lambda: counter.get(), "missing label values"),
            (lambda: counter.count_exceptions(), "missing label values"),
        ]:
            with pytest.raises(ValueError, match=message):
                wrong()
        with pytest.raises(TypeError, match="dict"):
            counter.remove_by_labels(["a"])

    def test_removed_by_this_process(self, registry):
        counter = Counter("c", "help", ["a"], registry=registry)
        kept = counter.labels("x")
        kept.inc(5)
        counter.remove("x")
        kept.inc()
        assert registry.get_sample_value("c_total", {"a": "x"}) is None
        counter.labels("x").inc()
        assert registry.get_sample_value("c_total", {"a": "x"}) == 1

    def test_removed_by_another_process(self, registry):
        counter = Counter("c", "help", ["a", "b"], registry=registry)
        for a in "xy":
            for b in "12":
                counter.labels(a, b).inc()
        in_child(lambda: counter.remove("x", "1"))
        counter.labels("x", "1").inc()
        assert registry.get_sample_value("c_total", {"a": "x", "b": "1"}) == 1, "it began anew"
        in_child(lambda: counter.remove_by_labels({"a": "y"}))
        left = {tuple(s.labels.values()) for m in registry.collect() for s in m.samples}
        assert left == {("x", "1"), ("x", "2")}
        in_child(counter.clear)
        assert [s for m in registry.collect() for s in m.samples] == []

    def test_children_that_others_remove_are_not_kept(self, registry):
        counter = Counter("c", "help", ["a"], registry=registry)
        kept = [weakref.ref(counter.labels(str(i))) for i in range(1023)]
        in_child(counter.clear)
        for i in range(1100):
            counter.labels("new %d" % i)
        gc.collect()
        assert sum(child() is not None for child in kept) == 0


class TestNames:
    def test_are_put_together(self, registry):
        Counter("c_total", "help", namespace="ns", subsystem="sub", unit="bytes", registry=registry).inc()
        assert registry.get_sample_value("ns_sub_c_bytes_total") == 1
        assert b"# UNIT ns_sub_c_bytes bytes\n" in shmetrics.generate_latest(registry, openmetrics=True)

    def test_utf8(self, registry):
        Counter("my.requests", "help", ["http.path"], registry=registry).labels('a"b').inc()
        assert registry.get_sample_value("my.requests_total", {"http.path": 'a"b'}) == 1
        page = shmetrics.generate_latest(registry, "allow-utf-8").decode()
        assert '{"my.requests_total","http.path"="a\\"b"} 1.0\n' in page
        assert 'my_requests_total{http_path="a\\"b"} 1.0\n' in shmetrics.generate_latest(registry).decode()

    @pytest.mark.parametrize("name", ["", "a\nb", "shmetrics_x"])
    def test_bad(self, name, registry):
        with pytest.raises(ValueError):
            Counter(name, "help", registry=registry)

    def test_no_unit_of_info(self, registry):
        with pytest.raises(ValueError, match="cannot have a unit"):
            Info("i", "help", unit="bytes", registry=registry)

    def test_defined_otherwise_is_a_warning(self, registry):
        Counter("c", "help", ["a"], registry=registry).labels("x").inc()
        with pytest.warns(shmetrics.SegmentWarning, match="its labels are"):
            other = Counter("c", "help", ["b"], registry=registry)
        other.labels("x").inc()
        other.labels("x").inc(exemplar={"a": "b"})
        other.clear()
        assert registry.get_sample_value("c_total", {"a": "x"}) == 1
        with pytest.warns(shmetrics.SegmentWarning):
            gauge = Gauge("c_total", "help", registry=registry)
        gauge.inc()
        with gauge.track_inprogress(), gauge.time():
            assert gauge.get() == 0


def test_objects_go(registry):
    counter = Counter("c", "help", ["a"], registry=registry)
    child, seen, other = counter.labels("x"), weakref.ref(counter), weakref.ref(counter.labels("y"))
    del counter
    gc.collect()
    assert seen() is None and other() is None
    child.inc()
    assert registry.get_sample_value("c_total", {"a": "x"}) == 1


class TestRedefinition:
    def test_replace(self, registry):
        old = Counter("c", "help", ["a"], registry=registry).labels("x")
        old.inc()
        new = Counter("c", "help", ["a", "b"], registry=registry, replace=True).labels("x", "y")
        new.inc(2)
        old.inc()
        assert registry.get_sample_value("c_total", {"a": "x"}) is None
        assert registry.get_sample_value("c_total", {"a": "x", "b": "y"}) == 2
        assert b"\nshmetrics_stale_updates_total 1" in registry.segment.render()

    @pytest.mark.parametrize(
        "make",
        [
            lambda labels, **more: Gauge("m", "help", labels, multiprocess_mode="livesum", **more).labels(*labels).set(1),
            lambda labels, **more: Histogram("m", "help", labels, **more).labels(*labels).observe(1),
            lambda labels, **more: Summary("m", "help", labels, **more).labels(*labels).observe(1),
            lambda labels, **more: Enum("m", "help", labels, states=["on"], **more).labels(*labels).state("on"),
            lambda labels, **more: Info("m", "help", labels, **more).labels(*labels).info({"v": "1"}),
        ],
    )
    def test_replace_of_all_types(self, make, registry):
        make(["a"], registry=registry)
        with pytest.warns(shmetrics.SegmentWarning, match="labels"):
            make(["a", "b"], registry=registry)
        assert b'b="b"' not in shmetrics.generate_latest(registry)
        make(["a", "b"], registry=registry, replace=True)
        page = shmetrics.generate_latest(registry)
        assert b'b="b"' in page and b'{a="a"}' not in page

    def test_unregister(self, registry, segment):
        counter = Counter("c", "help", registry=registry)
        assert segment.unregister("c") and not segment.unregister("c")
        counter.inc()
        assert b"c_total" not in shmetrics.generate_latest(registry)
        Gauge("c", "help", registry=registry, multiprocess_mode="livesum").set(3)
        assert registry.get_sample_value("c") == 3

    def test_the_later_revision_prevails(self, shm):
        segment = shmetrics.Segment("numbered", revision=2)
        counter = Counter("c", "help", ["a"], segment=segment).labels("x")

        def earlier():
            mine = shmetrics.Segment("numbered", revision=1)
            with pytest.warns(shmetrics.SegmentWarning, match="later revision"):
                Counter("c", "help", segment=mine, replace=True)
            with pytest.raises(ValueError, match="later revision"):
                mine.unregister("c")

        def later():
            mine = shmetrics.Segment("numbered", revision=3)
            Counter("c", "help", segment=mine, replace=True).inc(7)

        in_child(earlier)
        counter.inc()
        assert b'\nc_total{a="x"} 1' in segment.render()
        in_child(later)
        counter.inc()
        assert b"\nc_total 7" in segment.render()


class TestSegment:
    def test_attach_process(self, segment):
        assert segment.processes() == []
        segment.attach_process()
        segment.attach_process()
        assert [(pid, alive) for pid, _, alive, _ in segment.processes()] == [(os.getpid(), True)]

    def test_who_uses_it(self, segment):
        assert shmetrics.Segment.is_in_use("unit") is True
        assert segment.attached() == 1 and segment.is_current
        in_child(lambda: shmetrics.Segment("left"))
        assert shmetrics.Segment.is_in_use("left") is False
        with pytest.raises(OSError):
            shmetrics.Segment.is_in_use("absent")
        shmetrics.Segment.remove("unit")
        assert not segment.is_current

    def test_last_update(self, registry, segment):
        counter = Counter("c", "help", registry=registry)
        before = time.time()
        counter.inc()
        segment.render()
        at, is_last = segment.last_update()
        assert before - 0.1 <= at <= time.time() + 0.1 and is_last

    def test_short_bounds(self, shm):
        for short, bound in ((True, b'le="1"'), (False, b'le="1.0"'), (None, b'le="1.0"')):
            segment = shmetrics.Segment(anonymous=True, short_bounds=short)
            Histogram("h", "help", buckets=[1], segment=segment).observe(1)
            assert bound in segment.render()


def test_exact_name(registry, segment):
    Counter("nginx_accepted", "help", registry=registry, exact_name=True).inc()
    Counter("usual_total", "help", registry=registry, exact_name=True).inc(2)
    page = segment.render()
    assert b"\nnginx_accepted 1" in page and b"\nusual_total 2" in page
    assert registry.get_sample_value("nginx_accepted") == 1
    assert registry.get_sample_value("usual_total") == 2
    assert b"\nnginx_accepted 1.0\n" in shmetrics.generate_latest(registry)
    assert b"\nnginx_accepted_total 1.0\n" in shmetrics.generate_latest(registry, openmetrics=True)
    with pytest.warns(shmetrics.SegmentWarning, match="registered otherwise"):
        Counter("nginx_accepted", "help", registry=registry)
