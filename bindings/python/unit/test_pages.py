"""Pages: as bytes, over WSGI, ASGI and HTTP, with collectors beside the segment."""

from __future__ import annotations

import asyncio
import gzip
import os
import struct
import urllib.error
import urllib.request

import pytest

import shmetrics
from shmetrics import CollectorRegistry, Counter, Histogram, Metric

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"


@pytest.fixture
def filled(registry):
    Counter("b", "Of b.", ["z", "a"], registry=registry).labels("1", "2").inc(1234567)
    Histogram("h", "Of h.", buckets=[1], registry=registry).observe(3)
    return registry


def call_wsgi(app, **environ):
    told = {}

    def start_response(status, headers):
        told.update(status=status, headers=dict(headers))

    body = b"".join(app({"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", **environ}, start_response))
    return told["status"], told["headers"], body


def test_is_written_as_prometheus_client_writes(filled):
    page = shmetrics.generate_latest(filled).decode()
    assert page.startswith('# HELP b_total Of b.\n# TYPE b_total counter\nb_total{a="2",z="1"} 1.234567e+06\n')
    assert 'h_bucket{le="1.0"} 0.0\nh_bucket{le="+Inf"} 1.0\n' in page


def test_numbers_are_pythons(registry):
    from prometheus_client.utils import floatToGoString

    gauge = shmetrics.Gauge("g", "help", ["of"], registry=registry, multiprocess_mode="mostrecent")
    values = [0.0, -0.0, 1.0, 0.1, 999999.0, 1e6, 1234567.5, 1e15, 1e16, 1e17, 123e18, 1e-4, 1e-5, 5e-324, 1.7e308, -1.5, -1e6, -1e16]
    values += [float("inf"), -float("inf"), float("nan"), 1 / 3, 2**53 + 0.0, 100000.0, 1234567.0, 10000000.0]
    for i, value in enumerate(values):
        gauge.labels(i).set(value)
    lines = dict(line.rsplit(" ", 1) for line in shmetrics.generate_latest(registry).decode().splitlines() if line.startswith("g{"))
    for i, value in enumerate(values):
        shown = lines['g{of="%d"}' % i]
        assert shown == floatToGoString(value) or (float(shown) == value and 1e10 < abs(value)), (value, shown)


@pytest.mark.parametrize(
    "accept, content_type",
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROTOBUF, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"),
    ],
)
def test_formats(accept, content_type, filled):
    status, headers, body = call_wsgi(shmetrics.make_wsgi_app(filled), HTTP_ACCEPT=accept)
    assert (status, headers["Content-Type"], headers["Vary"]) == ("200 OK", content_type, "Accept, Accept-Encoding")
    assert int(headers["Content-Length"]) == len(body)
    assert (b"Of h." in body) and body.endswith(b"# EOF\n") == (accept == OPENMETRICS)
    encode, said = shmetrics.choose_encoder(accept)
    assert said == content_type and encode(filled)[:20] == body[:20]


def test_compressed_if_asked_for(filled):
    app = shmetrics.make_wsgi_app(filled)
    status, headers, body = call_wsgi(app, HTTP_ACCEPT_ENCODING="gzip")
    assert headers["Content-Encoding"] == "gzip" and b"Of h." in gzip.decompress(body)
    assert "Content-Encoding" not in call_wsgi(shmetrics.make_wsgi_app(filled, True), HTTP_ACCEPT_ENCODING="gzip")[1]


def test_names(filled):
    body = call_wsgi(shmetrics.make_wsgi_app(filled), QUERY_STRING="name[]=h_count&name[]=nothing")[2].decode()
    assert "h_count 1\n" in body and "b_total" not in body
    restricted = filled.restricted_registry(["h_count"])
    assert shmetrics.generate_latest(restricted).endswith(b"# TYPE h histogram\nh_count 1.0\n")
    assert [s.name for m in restricted.collect() for s in m.samples] == ["h_count"]


@pytest.mark.parametrize("names", [[], ["h"], ["b"], ["nothing"], ["h_count"]])
@pytest.mark.parametrize("openmetrics", [False, True])
def test_families_without_wanted_samples_are_left_out(names, openmetrics, filled):
    """With their comments, as in prometheus_client."""
    page = shmetrics.generate_latest(filled.restricted_registry(names), openmetrics=openmetrics).decode()
    lines = [line for line in page.splitlines() if line != "# EOF"]
    assert page.endswith("# EOF\n") == openmetrics
    assert [line for line in lines if not line.startswith("#")] == (["h_count 1.0"] if names == ["h_count"] else [])
    assert {line.split()[2] for line in lines if line.startswith("#")} == ({"h"} if names == ["h_count"] else set())


def test_names_in_quotes(registry):
    shmetrics.Counter('a "b" c', "Help with # and words.", registry=registry).inc()
    shmetrics.Gauge('a "b" d', "Of another.", registry=registry).set(1)
    restricted = registry.restricted_registry(['a "b" c_total'])
    assert shmetrics.generate_latest(restricted, "allow-utf-8").decode().splitlines() == [
        '# HELP "a \\"b\\" c_total" Help with # and words.',
        '# TYPE "a \\"b\\" c_total" counter',
        '{"a \\"b\\" c_total"} 1.0',
    ]


@pytest.mark.parametrize("accept", ["", OPENMETRICS, PROTOBUF])
def test_no_names_are_no_families(accept, filled):
    """An empty list is not the absence of a restriction."""
    end = b"# EOF\n" if accept == OPENMETRICS else b""
    assert shmetrics.render_for(accept, filled, [])[0] == end
    assert shmetrics.render_for(accept, filled.restricted_registry([]))[0] == end
    assert filled.segment.families([]) == []


def test_methods(filled):
    app = shmetrics.make_wsgi_app(filled)
    assert call_wsgi(app, REQUEST_METHOD="OPTIONS")[:2] == ("200 OK", {"Allow": "OPTIONS,GET"})
    assert call_wsgi(app, REQUEST_METHOD="POST")[0] == "405 Method Not Allowed"
    assert call_wsgi(app, REQUEST_METHOD="HEAD")[2] == b""
    assert call_wsgi(app, PATH_INFO="/favicon.ico")[2] == b""


def test_asgi(filled):
    async def ask(method):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": method, "headers": [(b"accept", OPENMETRICS.encode())], "query_string": b"name[]=b_total"}
        await shmetrics.make_asgi_app(filled)(scope, None, send)
        return sent

    start, body = asyncio.run(ask("GET"))
    assert start["status"] == 200 and dict(start["headers"])[b"content-type"].startswith(b"application/openmetrics-text")
    assert b"b_total{" in body["body"] and b"h_count" not in body["body"]
    assert asyncio.run(ask("DELETE"))[0]["status"] == 405
    with pytest.raises(ValueError, match="HTTP"):
        asyncio.run(shmetrics.make_asgi_app(filled)({"type": "websocket"}, None, None))


def test_server(filled):
    server, thread = shmetrics.start_http_server(0, "127.0.0.1", filled)
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % server.server_port) as answer:
            assert b"b_total" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen("http://127.0.0.1:%d/metrics" % server.server_port, data=b"x")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_textfile(filled, tmp_path):
    path = tmp_path / "app.prom"
    shmetrics.write_to_textfile(str(path), filled)
    assert b"b_total" in path.read_bytes() and list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError):
        shmetrics.write_to_textfile(str(tmp_path / "no" / "app.prom"), filled)


class Collector:
    def collect(self):
        metric = Metric("jobs", "Waiting.", "gauge")
        metric.add_sample("jobs", {"queue": 'a"b'}, 3)
        yield metric


def test_collectors_come_behind_the_segment(filled):
    filled.register(Collector())
    filled.set_target_info({"env": "prod"})
    page = shmetrics.generate_latest(filled).decode()
    assert page.endswith('# HELP jobs Waiting.\n# TYPE jobs gauge\njobs{queue="a\\"b"} 3.0\n')
    page, content_type = shmetrics.render_for(PROTOBUF, filled)
    assert "protobuf" in content_type and {"jobs", "target_info", "h"} <= set(messages(page))
    page, content_type = shmetrics.render_for(OPENMETRICS, filled)
    assert content_type.startswith("application/openmetrics-text") and page.count(b"# EOF") == 1
    assert page.endswith(b'jobs{queue="a\\"b"} 3.0\n# EOF\n') and b'target_info{env="prod"} 1.0' in page
    assert filled.get_sample_value("jobs", {"queue": 'a"b'}) == 3
    page, _ = shmetrics.render_for(OPENMETRICS, filled, ["jobs"])
    assert b"h_count" not in page and b"target_info" not in page


def test_pages_of_several_segments(shm):
    of = [CollectorRegistry(segment=shmetrics.Segment(name)) for name in ("one", "two")]
    Counter("c", "help", registry=of[0]).inc()
    Counter("c", "help", segment=of[1].segment).inc(2)
    assert [r.get_sample_value("c_total") for r in of] == [1, 2]


def test_created_on_request(filled):
    assert b"_created" not in shmetrics.generate_latest(filled, openmetrics=True)
    shmetrics.enable_created_metrics()
    try:
        assert b"h_created " in shmetrics.generate_latest(filled, openmetrics=True)
    finally:
        shmetrics.disable_created_metrics()


def test_process_metrics_of_all_workers(program):
    out = program(
        """
import os, shmetrics, shmetrics.process
shmetrics.process.ProcessCollector()
r, w = os.pipe()
gone, end = os.pipe()
if os.fork() == 0:
    os.close(end)
    os.write(w, b"x")
    os.read(gone, 1)
    os._exit(0)
os.read(r, 1)
def pids():
    page = shmetrics.generate_latest().decode().splitlines()
    return sorted(line.split('"')[1] for line in page if line.startswith("process_resident_memory_bytes{") and float(line.split()[1]) > 1e6)
print(len(set(pids())), str(os.getpid()) in pids(), shmetrics.REGISTRY.get_sample_value("process_workers"))
os.close(end)
os.wait()
print(pids() == [str(os.getpid())])
""",
        SHMETRICS_SEGMENT="unit-process",
    )
    assert out == "2 True 2.0\nTrue\n"


# Collectors: their families are in the page's format, and names are escaped as the rest of the
# page.


def varint(of: bytes, at: int) -> "tuple[int, int]":
    """A number, and where it ends."""
    n = shift = 0
    while True:
        byte = of[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return n, at


def fields(message: bytes) -> "dict[int, list]":
    """The fields of a protobuf message: numbers, or bytes."""
    found: "dict[int, list]" = {}
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        if key & 7 == 0:
            value, at = varint(message, at)
        elif key & 7 == 1:
            value = struct.unpack_from("<d", message, at)[0]
            at += 8
        else:
            length, at = varint(message, at)
            value = message[at : at + length]
            at += length
            assert len(value) == length
        found.setdefault(key >> 3, []).append(value)
    return found


def messages(page: bytes) -> "dict[str, dict]":
    """The families of a page in protobuf, by name: its parts, but for the times when series began."""
    found, at = {}, 0
    while at < len(page):
        n, at = varint(page, at)
        family = fields(page[at : at + n])
        at += n
        name = family[1][0].decode()
        assert name not in found
        metrics = []
        for metric in family.get(4, ()):
            metric = fields(metric)
            labels = sorted((fields(pair)[1][0].decode(), fields(pair)[2][0].decode()) for pair in metric.pop(1, ()))
            shown = []
            for field, value in sorted(metric.items()):
                value = value[0]
                if isinstance(value, bytes):
                    value = fields(value)
                    # When the series began.
                    value.pop({3: 3, 4: 4, 7: 15}.get(field), None)
                    value = {k: [str(fields(v)) if isinstance(v, bytes) else v for v in vs] for k, vs in sorted(value.items())}
                shown.append((field, value))
            metrics.append((labels, shown))
        texts = [family.get(field, [b""])[0] for field in (2, 5)]
        found[name] = {"help": texts[0], "type": family.get(3, [0])[0], "metrics": sorted(metrics, key=str), "unit": texts[1]}
    return found


def of_all_types(**of) -> None:
    shmetrics.Counter("my.requests", "Of \\ \"all\"\ntypes.", ["http.path", "plain"], **of).labels('a"\\\n', "é").inc(3)
    shmetrics.Gauge("g.auge", "help", ["x"], multiprocess_mode="mostrecent", **of).labels("1").set(-2.5)
    shmetrics.Histogram("h.seconds", "help", ["a.b"], buckets=[0.5, 2], unit="seconds", **of).labels("1").observe(1)
    shmetrics.Summary("s", "help", **of).observe(2)
    shmetrics.Info("i.nfo", "help", **of).info({"ver.sion": "1"})
    shmetrics.Enum("e_num", "help", states=["on", "off"], **of).state("off")


class Mirror:
    """Collects what a segment has."""

    def __init__(self, segment) -> None:
        self.of = CollectorRegistry(segment=segment)

    def collect(self):
        return [m for m in self.of.collect() if not m.name.startswith("shmetrics_")]


def own_removed(page: bytes) -> "list[bytes]":
    return [line for line in page.splitlines() if b"shmetrics_" not in line]


ESCAPINGS = ["underscores", "dots", "values", "allow-utf-8"]


@pytest.mark.parametrize("escaping", ESCAPINGS)
@pytest.mark.parametrize("openmetrics", [False, True])
def test_texts_of_collectors_are_as_the_segments(escaping, openmetrics, shm):
    segment, empty = shmetrics.Segment("full"), shmetrics.Segment("empty")
    of_all_types(segment=segment)
    registry = CollectorRegistry(segment=empty)
    registry.register(Mirror(segment))
    expected = shmetrics.generate_latest(CollectorRegistry(segment=segment), escaping, openmetrics=openmetrics)
    found = shmetrics.generate_latest(registry, escaping, openmetrics=openmetrics)
    # The order of the lines about a family is free in OpenMetrics.
    order = sorted if openmetrics else list
    assert order(own_removed(found)) == order(own_removed(expected))


@pytest.mark.parametrize("escaping", ESCAPINGS)
@pytest.mark.parametrize("accept", [PROTOBUF, OPENMETRICS, "application/openmetrics-text; version=2.0.0", "text/plain; version=1.0.0", ""])
def test_one_decision_for_content_type_and_body(accept, escaping, filled):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
    from prometheus_client.parser import text_string_to_metric_families as text

    filled.set_target_info({"service.name": "shop", "env": "prod"})
    filled.register(Collector())
    accept = "%s;escaping=%s" % (accept, escaping) if accept else ""
    encode, content_type = shmetrics.choose_encoder(accept)
    page = encode(filled)
    status, headers, body = call_wsgi(shmetrics.make_wsgi_app(filled), HTTP_ACCEPT=accept)
    for other, said in (shmetrics.render_for(accept, filled), (body, headers["Content-Type"])):
        assert said == content_type
        if "protobuf" in content_type:
            assert messages(other).keys() == messages(page).keys()
        else:
            assert own_removed(other) == own_removed(page)
    if "protobuf" in content_type:
        found = messages(page)
        assert {"jobs", "target_info", "b_total", "h"} <= set(found)
        label = next(name for name, _ in found["target_info"]["metrics"][0][0] if name != "env")
    else:
        assert content_type.startswith("application/openmetrics-text" if "openmetrics" in accept else "text/plain")
        assert page.endswith(b"# EOF\n") == ("openmetrics" in accept)
        # A scraper takes the page.
        if "version=2" not in content_type:
            names = {m.name for m in (openmetrics if "openmetrics" in accept else text)(page.decode())}
            assert {"jobs", "h"} <= names
        label = next(line for line in page.decode().splitlines() if line.startswith(("target_info", '{"target_info')))
    shown = {"underscores": "service_name", "dots": "service_dot_name", "values": "U__service_2e_name", "allow-utf-8": "service.name"}
    # Version 0.0.4 has no names in quotes.
    assert shown[escaping if accept else "underscores"] in label
    if escaping == "allow-utf-8" and accept and "protobuf" not in accept:
        assert '"service.name"="shop"' in label


def test_protobuf_of_collectors_is_as_the_segments(shm):
    segment, empty = shmetrics.Segment("full"), shmetrics.Segment("empty")
    of_all_types(segment=segment)
    registry = CollectorRegistry(segment=empty)
    registry.register(Mirror(segment))
    for escaping in ESCAPINGS:
        accept = PROTOBUF + ";escaping=" + escaping
        expected = messages(shmetrics.render_for(accept, CollectorRegistry(segment=segment))[0])
        found = messages(shmetrics.render_for(accept, registry)[0])
        for name, family in expected.items():
            if not name.startswith("shmetrics_"):
                assert found[name] == family, name


def collected(*families):
    registry = CollectorRegistry(segment=shmetrics.Segment(anonymous=True))
    registry.register(type("All", (), {"collect": lambda self: families})())
    return registry


def of_collectors(package):
    """All classes of families, by either package."""
    core = __import__(package + ".core", fromlist=["core"])
    made = [
        core.CounterMetricFamily("c_total", "help", labels=["a"]),
        core.GaugeMetricFamily("g", "help", value=1234567, unit="bytes"),
        core.SummaryMetricFamily("s", "help", count_value=3, sum_value=4.5),
        core.HistogramMetricFamily("h", "help", buckets=[("0.5", 1, core.Exemplar({"t": "1"}, 0.3, 5.5)), ("+Inf", 2)], sum_value=3),
        core.HistogramMetricFamily("neg", "help", buckets=[("-1", 1), ("+Inf", 2)], sum_value=3),
        core.GaugeHistogramMetricFamily("gh", "help", buckets=[("1", 4), ("+Inf", 5)], gsum_value=7),
        core.InfoMetricFamily("i", "help", value={"v": "1"}),
        core.StateSetMetricFamily("st", "help", value={"on": True, "off": False}),
        core.UntypedMetricFamily("u", "help \\ \n", value=float("nan")),
        core.Metric("plain_total", "help", "counter"),
    ]
    made[0].add_metric(['x"'], 5, created=17.5, exemplar=core.Exemplar({"trace": "a"}, 2.0))
    made[0].add_metric(["y"], 6, timestamp=core.Timestamp(1234, 500000000))
    made[-1].add_sample("plain_total_total", {}, 3, None, core.Exemplar({}, 1.0))
    native = core.NativeHistogram(4, 6.0, 3, 0.001, 1, (core.BucketSpan(0, 2),), (core.BucketSpan(1, 1),), (1, 1), (1,))
    histogram = core.Metric("nh", "help", "histogram")
    histogram.add_sample("nh", {"a": "b"}, 0, native_histogram=native)
    return [*made, histogram]


@pytest.mark.parametrize("package", ["shmetrics", "prometheus_client"])
@pytest.mark.parametrize("escaping", ["underscores", "allow-utf-8"])
def test_collectors_are_written_as_prometheus_client_writes_them(package, escaping):
    import prometheus_client
    import prometheus_client.openmetrics.exposition as theirs
    import shmetrics.openmetrics.exposition as ours

    peer = prometheus_client.CollectorRegistry()
    peer.register(type("All", (), {"collect": lambda self: of_collectors("prometheus_client")})())
    registry = collected(*of_collectors(package))
    for version in ("1.0.0", "2.0.0"):
        page = ours.generate_latest(registry, escaping, version)
        assert b"\n".join(own_removed(page)) + b"\n" == theirs.generate_latest(peer, escaping, version)
    # prometheus_client's texts show a native histogram as a sample that is 0.
    expected = prometheus_client.generate_latest(peer, escaping).replace(b'nh{a="b"} 0.0\n', b"")
    assert b"\n".join(own_removed(shmetrics.generate_latest(registry, escaping))) + b"\n" == expected


def test_families_are_equal_to_those_of_prometheus_client():
    ours, theirs = of_collectors("shmetrics"), of_collectors("prometheus_client")
    for mine, peer in zip(ours, theirs):
        assert (mine.name, mine.type, mine.documentation, mine.unit) == (peer.name, peer.type, peer.documentation, peer.unit)
        assert str(mine.samples) == str(peer.samples) and repr(mine) == repr(peer)
    again = of_collectors("shmetrics")
    assert [a == b for a, b in zip(ours, again)].count(False) == 1, "NaN alone differs"
    import shmetrics.core as core

    for wrong in (
        lambda: core.CounterMetricFamily("c", "h", value=1, labels=["a"]),
        lambda: core.SummaryMetricFamily("s", "h", count_value=1),
        lambda: core.HistogramMetricFamily("h", "h", sum_value=1),
        lambda: core.Metric("m", "h", "wrong"),
        lambda: core.Metric("", "h", "gauge"),
        lambda: core.Timestamp(1, -1),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_native_histograms_of_collectors_in_protobuf():
    found = messages(shmetrics.render_for(PROTOBUF, collected(*of_collectors("shmetrics")))[0])
    (labels, ((field, histogram),)) = found["nh"]["metrics"][0]
    assert (labels, field, histogram[1], histogram[2]) == ([("a", "b")], 7, [4], [6.0])
    assert (histogram[5], histogram[6], histogram[7]) == ([6], [0.001], [1])  # schema 3, in zigzag
    assert (histogram[9], histogram[10], histogram[12], histogram[13]) == (["{1: [2], 2: [1]}"], [2], ["{1: [0], 2: [2]}"], [2, 2])
    assert found["gh"]["type"] == 5 and found["u"]["type"] == 3 and found["c_total"]["type"] == 0
    (_, series) = found["c_total"]["metrics"][1]
    assert series[-1] == (6, 1234500), "a time stamp in milliseconds"


def test_collectors_with_the_same_names(registry):
    class Describing(Collector):
        def describe(self):
            return [Metric("jobs", "Waiting.", "gauge")]

    first = Describing()
    registry.register(first)
    registry.register(first)
    with pytest.raises(shmetrics.core.DuplicateTimeseries, match="jobs"):
        registry.register(Describing())
    registry.register(Collector())  # it does not say what it collects
    automatic = CollectorRegistry(auto_describe=True, segment=registry.segment)
    automatic.register(Collector())
    with pytest.raises(ValueError, match="Duplicated"):
        automatic.register(Collector())
    registry.unregister(first)
    registry.register(Describing())
    with pytest.raises(KeyError):
        registry.unregister(first)


def test_default_collectors_can_be_unregistered():
    """prometheus_client registers them by itself, and many applications unregister them."""
    registry = CollectorRegistry(segment=shmetrics.Segment(anonymous=True))
    for constant in (shmetrics.PROCESS_COLLECTOR, shmetrics.PLATFORM_COLLECTOR, shmetrics.GC_COLLECTOR):
        shmetrics.REGISTRY.unregister(constant)
        registry.register(constant)
    page = shmetrics.generate_latest(registry).decode()
    for name in ("process_cpu_seconds_total", "process_max_fds", "python_info{", "python_gc_objects_collected_total{"):
        assert "\n" + name in page, name
    registry.unregister(shmetrics.PROCESS_COLLECTOR)
    assert "process_cpu" not in shmetrics.generate_latest(registry).decode()
    of = shmetrics.ProcessCollector("shop", lambda: os.getpid(), registry=registry)
    assert registry.get_sample_value("shop_process_open_fds") > 2 and of is not None


def test_the_same_as_prometheus_clients_collectors():
    import prometheus_client

    for name in ("PROCESS_COLLECTOR", "PLATFORM_COLLECTOR", "GC_COLLECTOR"):
        ours, theirs = getattr(shmetrics, name).collect(), getattr(prometheus_client, name).collect()
        shape = [[(m.name, m.type, m.documentation, [(s.name, s.labels) for s in m.samples]) for m in of] for of in (ours, theirs)]
        assert shape[0] == shape[1]


def test_registries_of_prometheus_client_are_taken(segment):
    import prometheus_client

    theirs = prometheus_client.CollectorRegistry(auto_describe=True)
    counter = shmetrics.Counter("c", "help", registry=theirs, segment=segment)
    counter.inc(2)
    prometheus_client.Gauge("g.x", "help", registry=theirs).set(3)
    for page in (shmetrics.generate_latest(theirs), prometheus_client.generate_latest(theirs)):
        assert b"\nc_total 2.0\n" in page and b"\ng_x 3.0\n" in page
    status, headers, body = call_wsgi(shmetrics.make_wsgi_app(theirs), HTTP_ACCEPT=PROTOBUF, QUERY_STRING="name[]=g.x")
    assert set(messages(body)) == {"g_x"}


def test_workers_are_attached_once(segment, registry):
    """A registry for each request is what prometheus_client's documentation shows."""
    import gc

    import shmetrics.process as process

    before = len(process._attached)
    for _ in range(5):
        made = CollectorRegistry(segment=segment)
        process.ProcessCollector(made, segment=segment)
        assert made.get_sample_value("process_workers") == 1
        assert b"process_resident_memory_bytes{" in shmetrics.generate_latest(made)
    del made
    gc.collect()
    assert len(process._attached) == before + 1
    assert sum(type(o) is shmetrics.Gauge and o._name == "process_workers" for o in gc.get_objects()) <= len(process._attached)


def test_legacy_validation(registry):
    from shmetrics.validation import disable_legacy_validation, enable_legacy_validation, get_legacy_validation

    assert not get_legacy_validation()
    enable_legacy_validation()
    try:
        assert get_legacy_validation()
        for wrong in (
            lambda: Counter("a.b", "help", registry=registry),
            lambda: Counter("ab", "help", ["a.b"], registry=registry),
            lambda: Metric("a.b", "help", "gauge"),
        ):
            with pytest.raises(ValueError, match="nvalid"):
                wrong()
        Counter("a:b", "help", ["a_b"], registry=registry)
    finally:
        disable_legacy_validation()
    Counter("a.b", "help", ["a.b"], registry=registry)
