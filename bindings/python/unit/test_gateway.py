"""Pages that are pushed: to a Pushgateway, and to Graphite. What is sent is what prometheus_client
sends.
"""

from __future__ import annotations

import gzip
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError

import prometheus_client
import prometheus_client.bridge.graphite
import prometheus_client.exposition
import pytest

import shmetrics
import shmetrics.bridge.graphite
import shmetrics.exposition

PACKAGES = [shmetrics, prometheus_client]


@pytest.fixture
def gateway():
    """Remembers the requests. Paths that begin with /moved lead elsewhere, /refused is refused."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {k: v for k, v in self.headers.items() if k in ("Content-Type", "Content-Encoding", "Authorization")}
            server.requests.append((self.command, self.path, headers, body))
            self.send_response(301 if self.path.startswith("/moved") else 403 if self.path.startswith("/refused") else 202)
            if self.path.startswith("/moved"):
                self.send_header("Location", "/there and" + self.path[len("/moved") :])
            self.end_headers()

        do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def sent_by(package, gateway, call) -> "list[tuple]":
    gateway.requests.clear()
    registry = prometheus_client.CollectorRegistry()
    gauge = prometheus_client.Gauge("g", "help", registry=registry)
    gauge.set(3)
    call(package, "127.0.0.1:%d" % gateway.server_port, registry)
    return [(method, path, headers, gzip.decompress(b) if "Content-Encoding" in headers else b) for method, path, headers, b in gateway.requests]


CALLS = {
    "put": lambda p, g, r: p.push_to_gateway(g, "my job", registry=r),
    "post": lambda p, g, r: p.pushadd_to_gateway("http://" + g + "/", "j", r, {"b": 9, "a": "x/y", "c": "", "d": "ä+&"}),
    "delete": lambda p, g, r: p.delete_from_gateway(g, job="j", grouping_key={"a": "b"}, timeout=None),
    "gzip": lambda p, g, r: p.push_to_gateway(g, "j", r, compression="gzip"),
    "password": lambda p, g, r: p.push_to_gateway(
        g, "j", r, handler=lambda **k: p.exposition.basic_auth_handler(username="u", password="pä", **k)
    ),
    "redirect": lambda p, g, r: p.push_to_gateway(g + "/moved", "j", r, handler=p.exposition.passthrough_redirect_handler),
    "no registry": lambda p, g, r: p.push_to_gateway(g, "j", r, {"instance": p.instance_ip_grouping_key()["instance"]}),
}


@pytest.mark.parametrize("name", CALLS)
def test_requests(name, gateway):
    ours, theirs = (sent_by(package, gateway, CALLS[name]) for package in PACKAGES)
    assert ours == theirs and ours


def test_errors(gateway, registry):
    of = "127.0.0.1:%d" % gateway.server_port
    for package in PACKAGES:
        for error, call in (
            (HTTPError, lambda p: p.push_to_gateway(of + "/refused", "j", prometheus_client.CollectorRegistry())),
            (HTTPError, lambda p: p.push_to_gateway(of + "/moved", "j", prometheus_client.CollectorRegistry())),
            (ValueError, lambda p: p.push_to_gateway(of, "j", prometheus_client.CollectorRegistry(), compression="lzma")),
        ):
            with pytest.raises(error):
                call(package)


def test_the_segments_page(gateway, registry):
    shmetrics.Counter("c", "help", registry=registry).inc(4)
    shmetrics.push_to_gateway("127.0.0.1:%d" % gateway.server_port, "j", registry)
    assert b"\nc_total 4.0\n" in gateway.requests[0][3]


def test_password_is_sent_once(gateway, registry):
    """The same arguments may be used again."""
    headers = []
    of = {"url": "http://127.0.0.1:%d" % gateway.server_port, "method": "PUT", "timeout": 120, "headers": headers, "data": b""}
    handle = shmetrics.exposition.basic_auth_handler(username="u", password="p", **of)
    handle()
    handle()
    assert headers == [] and [r[2]["Authorization"] for r in gateway.requests] == ["Basic dTpw"] * 2


@pytest.mark.parametrize("tags", [False, True])
def test_graphite(tags):
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Gauge("g.x", "help", ["a b"], registry=registry).labels("c.d/é").set(2.5)
    prometheus_client.Counter("c", "help", registry=registry).inc()
    got = []
    for package in PACKAGES:
        with socket.create_server(("127.0.0.1", 0)) as server:
            bridge = package.bridge.graphite.GraphiteBridge(server.getsockname(), registry, _timer=lambda: 1234.5, tags=tags)
            bridge.push(prefix="pre.fix")
            connection, _ = server.accept()
            with connection, connection.makefile() as file:
                got.append([line for line in file if "created" not in line])
    assert got[0] == got[1] and len(got[0]) == 2


def test_graphite_again_and_again(program):
    """In a program of its own, as the thread never ends."""
    program(
        """
import socket, shmetrics
from shmetrics.bridge.graphite import GraphiteBridge
shmetrics.configure(anonymous=True)
shmetrics.Gauge("g", "help", multiprocess_mode="mostrecent").set(1)
with socket.create_server(("127.0.0.1", 0)) as server:
    GraphiteBridge(server.getsockname()).start(interval=0.01)
    for _ in range(3):
        connection, _ = server.accept()
        with connection, connection.makefile() as file:
            assert "g 1.0 " in file.read()
"""
    )


def test_twisted(program):
    pytest.importorskip("twisted")
    out = program(
        """
import threading, urllib.request
from twisted.internet import reactor
from twisted.web.server import Site
import shmetrics
from shmetrics.twisted import MetricsResource
shmetrics.configure(anonymous=True)
shmetrics.Counter("c", "help").inc()
port = reactor.listenTCP(0, Site(MetricsResource()), interface="127.0.0.1")
def ask():
    try:
        print(b"c_total 1" in urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port.getHost().port, timeout=120).read())
    finally:
        reactor.callFromThread(reactor.stop)
threading.Thread(target=ask).start()
reactor.run()
"""
    )
    assert out == "True\n"


def test_the_view_of_django(program):
    pytest.importorskip("django")
    out = program(
        """
import django
from django.conf import settings
settings.configure(ALLOWED_HOSTS=["*"])
django.setup()
from django.test import RequestFactory
import shmetrics
from shmetrics.django import PrometheusDjangoView
shmetrics.configure(anonymous=True)
shmetrics.Counter("c", "help").inc()
view = PrometheusDjangoView.as_view()
answer = view(RequestFactory().get("/metrics", {"name[]": "c_total"}, HTTP_ACCEPT="application/openmetrics-text"))
print(answer["Content-Type"], answer.content.endswith(b"c_total 1\\n# EOF\\n"), view(RequestFactory().options("/"))["Allow"])
"""
    )
    assert out == "application/openmetrics-text; version=1.0.0; charset=utf-8 True OPTIONS,GET\n"
