"""Metrics of ASGI applications, and messages that the middleware must not change."""

from __future__ import annotations

import asyncio
import gzip
import http
import threading

import pytest
from middlewares import call_asgi, in_progress, timed, total

import shmetrics.asgi


class TestAsgi:
    def test_counts_by_route(self, registry):
        class Route:
            path = "/items/{id}"

        async def other_framework(scope, receive, send):
            scope["route"] = Route
            await send({"type": "http.response.start", "status": 200})
            assert total(registry, endpoint="/items/{id}") == 1, "before it is sent on"
            await send({"type": "http.response.body"})

        async def says_it(scope, receive, send):
            scope["shmetrics.endpoint"] = "/said"
            await send({"type": "http.response.start", "status": http.HTTPStatus.CREATED})
            await send({"type": "http.response.body"})

        async def says_nothing(scope, receive, send):
            """A template is never made from a path."""
            scope.update(endpoint=object(), path_params={"id": 7, "none": ""})
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        assert len(call_asgi(shmetrics.asgi.instrument(other_framework, "shop", registry=registry), "/items/7")) == 2
        call_asgi(shmetrics.asgi.instrument(says_it, "shop", registry=registry), "/items/7")
        call_asgi(shmetrics.asgi.instrument(says_nothing, "shop", registry=registry), "/items/7")
        assert total(registry, endpoint="/said", http_status="201") == 1
        assert total(registry, http_status="204") == 1
        assert in_progress(registry) == 0

    def test_the_end_of_an_answer(self, registry):
        """Background work of an application is neither latency nor in progress."""
        ends = {
            "body": [{"type": "http.response.body", "more_body": True}, {"type": "http.response.body"}],
            "file": [{"type": "http.response.pathsend", "path": "/x"}],
            "descriptor": [
                {"type": "http.response.zerocopysend", "file": 0, "more_body": True},
                {"type": "http.response.zerocopysend", "file": 0},
            ],
            "trailers": [
                {"type": "http.response.body"},
                {"type": "http.response.trailers", "more_trailers": True},
                {"type": "http.response.trailers"},
            ],
        }
        for kind, messages in ends.items():

            async def app(scope, receive, send):
                await send({"type": "http.response.start", "status": 200, "trailers": kind == "trailers"})
                for message in messages:
                    assert in_progress(registry) == 1, (kind, message)
                    await send(message)
                assert in_progress(registry) == 0, kind
                raise RuntimeError("in the background")

            before = timed(registry) or 0
            with pytest.raises(RuntimeError):
                call_asgi(shmetrics.asgi.instrument(app, "shop", registry=registry))
            assert timed(registry) == before + 1
        assert total(registry) == len(ends) and total(registry, http_status="500") is None

    def test_requests_without_an_answer(self, registry):
        async def gone():
            return {"type": "http.disconnect"}

        async def fails(scope, receive, send):
            raise RuntimeError

        async def cancelled(scope, receive, send):
            raise asyncio.CancelledError

        async def says_nothing(scope, receive, send):
            pass

        async def waits(scope, receive, send):
            await receive()

        async def notices(scope, receive, send):
            await receive()
            raise RuntimeError("client disconnected")

        async def breaks_off(scope, receive, send):
            await send({"type": "http.response.start", "status": 206})
            await send({"type": "http.response.body", "more_body": True})
            await receive()

        for app, error in [
            (fails, RuntimeError),
            (cancelled, asyncio.CancelledError),
            (says_nothing, None),
            (waits, None),
            (notices, RuntimeError),
            (breaks_off, None),
        ]:
            wrapped = shmetrics.asgi.instrument(app, "shop", registry=registry)
            if error is None:
                call_asgi(wrapped, receive=gone)
            else:
                with pytest.raises(error):
                    call_asgi(wrapped, receive=gone)
        assert total(registry, http_status="500") == 2
        assert total(registry, http_status="499") == 3
        assert total(registry, http_status="206") == 1
        assert in_progress(registry) == 0 and timed(registry) == 6

    def test_other_scopes_pass(self, registry):
        passed = []

        async def app(scope, receive, send):
            passed.append(scope["type"])

        wrapped = shmetrics.asgi.instrument(app, "shop", registry=registry)
        for kind in ("lifespan", "websocket"):
            call_asgi(wrapped, type=kind)
        assert passed == ["lifespan", "websocket"]
        assert b"http_requests_in_progress" in call_asgi(wrapped, "/metrics")[1]["body"]
        assert timed(registry) is None

    @pytest.mark.parametrize("path, root", [("/api/metrics", "/api"), ("/metrics", "/api"), ("/metrics", ""), ("/a/b/metrics", "/a/b/")])
    def test_the_page_below_a_root_path(self, path, root, registry):
        async def app(scope, receive, send):
            raise AssertionError("the page is the middleware's")

        wrapped = shmetrics.asgi.instrument(app, "shop", registry=registry)
        assert call_asgi(wrapped, path, root_path=root)[0]["status"] == 200
        with pytest.raises(AssertionError):
            call_asgi(wrapped, root + "/x/metrics", root_path=root)


def test_a_large_page_is_compressed_in_a_thread(registry, monkeypatch):
    """Other requests of the loop do not wait for it."""
    compressed, plain = [], shmetrics._page._gzip
    monkeypatch.setattr(shmetrics._page, "_gzip", lambda page: compressed.append(threading.get_ident()) or plain(page))
    many = shmetrics.Counter("many_total", "d", ["a"], registry=registry)
    app, headers = shmetrics.make_asgi_app(registry), [(b"accept-encoding", b"gzip")]
    bodies = []
    for size in (10, 5000):
        for i in range(size):
            many.labels(str(i)).inc()
        start, body = call_asgi(app, headers=headers)
        assert (b"content-encoding", b"gzip") in start["headers"]
        bodies.append(gzip.decompress(body["body"]).count(b"many_total{"))
    assert bodies == [10, 5000]
    assert compressed[0] == threading.get_ident() != compressed[1] and len(compressed) == 2


class TestBesideInstrumentator:
    """prometheus-fastapi-instrumentator has http_requests_total with other labels, in the same
    segment with the drop-in.
    """

    CODE = """
import asyncio, warnings
warnings.simplefilter("error")
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_fastapi_instrumentator import Instrumentator
import shmetrics.asgi
app = FastAPI()
app.add_api_route("/u/{i}", lambda i: i)
Instrumentator().instrument(app)
async def receive(): return {"type": "http.request"}
async def send(message): pass
scope = {"type": "http", "method": "GET", "path": "/u/1", "headers": [], "query_string": b"", "scheme": "http", "server": ("x", 80)}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    shmetrics.asgi.instrument(app, "shop", prefix="%s", path=None)
    asyncio.run(app(scope, receive, send))
registry = CollectorRegistry()
MultiProcessCollector(registry)
page = generate_latest(registry).decode()
print([line for line in page.splitlines() if "http_requests_total{" in line])
print([str(warning.message) for warning in told if issubclass(warning.category, shmetrics.SegmentWarning)])
"""

    @pytest.fixture
    def run(self, program, tmp_path):
        pytest.importorskip("prometheus_fastapi_instrumentator")
        directory = tmp_path / "multiproc"
        directory.mkdir()
        return lambda code: program(code, PROMETHEUS_MULTIPROC_DIR=str(directory)).splitlines()

    def test_with_a_prefix(self, run):
        lines, told = map(eval, run(self.CODE % "eu"))
        assert told == [] and len(lines) == 2
        assert 'eu_http_requests_total{app_name="shop",endpoint="/u/{i}",http_status="200",method="GET"} 1.0' in lines
        assert 'http_requests_total{handler="/u/{i}",method="GET",status="2xx"} 1.0' in lines

    def test_without(self, run):
        lines, told = map(eval, run(self.CODE % ""))
        assert len(lines) == 1 and len(told) == 1 and "http_requests" in told[0]
