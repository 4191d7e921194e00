"""Pages: as bytes, over WSGI, ASGI and HTTP, with collectors beside the segment."""

from __future__ import annotations

import asyncio
import gzip
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
    page, content_type = shmetrics.negotiated(PROTOBUF, filled)
    assert content_type.startswith("application/openmetrics-text") and page.count(b"# EOF") == 1
    assert page.endswith(b'jobs{queue="a\\"b"} 3.0\n# EOF\n') and b'target_info{env="prod"} 1.0' in page
    assert filled.get_sample_value("jobs", {"queue": 'a"b'}) == 3
    page, _ = shmetrics.negotiated(OPENMETRICS, filled, ["jobs"])
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
