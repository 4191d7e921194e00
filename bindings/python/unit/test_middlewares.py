"""What the middlewares count, when, and what they leave alone. tests/frameworks has the frameworks'
versions and the servers.
"""

from __future__ import annotations

import asyncio
import enum
import gc
import gzip
import http
import io
import re
import threading
import wsgiref.util

import pytest

import shmetrics.aiohttp
import shmetrics.asgi
import shmetrics.django
import shmetrics.flask
import shmetrics.wsgi
from shmetrics._http import RequestMetrics, status_of


def value(registry, name, **labels):
    return registry.get_sample_value(name, {"app_name": "shop", **labels})


def total(registry, method="GET", endpoint="unmatched", http_status="200"):
    return value(registry, "http_requests_total", method=method, endpoint=endpoint, http_status=http_status)


def in_progress(registry):
    return value(registry, "http_requests_in_progress")


def timed(registry, endpoint="unmatched"):
    return value(registry, "http_request_latency_seconds_count", endpoint=endpoint)


def series(registry):
    return sum(len(family.samples) for family in registry.collect() if family.name.startswith("http_"))


class TestArguments:
    """Wrong ones fail at the call that has them, and not at the first request."""

    WRONG = {
        "unknown": {"bucket": [1]},
        "app_name": {"app_name": 7},
        "path": {"path": "metrics"},
        "endpoint": {"endpoint": "/x"},
        "registry": {"registry": object()},
        "buckets": {"buckets": ["x"]},
        "prefix": {"prefix": None},
        "label of ours": {"labels": {"endpoint": "x"}},
        "label name": {"labels": {"not a name": "x", "__reserved": "y"}},
        "pattern": {"excluded_paths": ["("]},
        "pattern type": {"excluded_paths": [7]},
    }

    @pytest.mark.parametrize("options", WRONG.values(), ids=WRONG)
    def test_at_the_call(self, options, registry):
        aiohttp_web = pytest.importorskip("aiohttp.web")
        flask = pytest.importorskip("flask")
        applications = pytest.importorskip("starlette.applications")
        options = {"registry": registry, **options}
        for instrument, app in [
            (shmetrics.wsgi.instrument, lambda environ, start_response: []),
            (shmetrics.asgi.instrument, lambda scope, receive, send: None),
            (shmetrics.asgi.instrument, applications.Starlette()),
            (shmetrics.flask.instrument, flask.Flask("shop")),
            (shmetrics.aiohttp.instrument, aiohttp_web.Application()),
        ]:
            with pytest.raises((TypeError, ValueError)):
                instrument(app, **options)

    def test_status(self):
        class Own(enum.Enum):
            OK = 200
            LINE = "201 Created"

        class Words(str, enum.Enum):
            GONE = "410 Gone"

        given = [200, http.HTTPStatus.NOT_FOUND, Own.OK, Own.LINE, Words.GONE, "503 Service Unavailable", "204"]
        assert [status_of(status) for status in given] == ["200", "404", "200", "201", "410", "503", "204"]
        assert {status_of(status) for status in (20, 2000, "OK", "", None, "٢٠٠")} == {"invalid"}

    def test_options(self, registry):
        """prefix, labels and excluded paths, beside another middleware with the default names."""

        def app(environ, start_response):
            environ["shmetrics.endpoint"] = "/"
            start_response("200 OK", [])
            return [b""]

        wrapped = shmetrics.wsgi.instrument(
            shmetrics.wsgi.instrument(app, "shop", registry=registry),
            "shop",
            registry=registry,
            prefix="eu",
            labels={"region": "west", "tenant": lambda environ: environ["HTTP_HOST"]},
            excluded_paths=["/health", "/static/.*", re.compile("/[0-9]+")],
        )
        wsgi = TestWsgi()
        for path in ("/", "/health", "/health2", "/static/a/b", "/static", "/123", "/x123"):
            wsgi.call(wrapped, path, HTTP_HOST="t1")
        labels = {"method": "GET", "endpoint": "/", "http_status": "200", "region": "west", "tenant": "t1"}
        assert value(registry, "eu_http_requests_total", **labels) == 4
        assert value(registry, "eu_http_request_latency_seconds_count", endpoint="/", region="west", tenant="t1") == 4
        assert value(registry, "eu_http_requests_in_progress", region="west") == 0
        assert total(registry, endpoint="/") == 7, "the other one excludes nothing"

    def test_functions_of_a_scope(self, registry):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body"})

        labels = {"kind": lambda scope: scope["type"]}
        asgi = TestAsgi()
        asgi.call(shmetrics.asgi.instrument(app, "shop", registry=registry, labels=labels, endpoint=lambda scope: scope["method"]))
        asgi.call(shmetrics.asgi.instrument(app, "shop", registry=registry, labels=labels, endpoint=None))
        for endpoint in ("GET", "unmatched"):
            assert value(registry, "http_requests_total", method="GET", endpoint=endpoint, http_status="200", kind="http") == 1

    def test_one_excluded_path(self, registry):
        metrics = RequestMetrics("shop", registry=registry, excluded_paths="/health")
        assert metrics.excludes("/health") and not metrics.excludes("/") and not metrics.excludes("/healthy")

    @pytest.mark.filterwarnings("ignore::shmetrics.SegmentWarning")
    def test_functions_that_fail(self, registry):
        def fails(_):
            raise RuntimeError("no")

        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"x"]

        with pytest.warns(shmetrics.SegmentWarning, match="endpoint|labels"):
            wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry, endpoint=fails, labels={"tenant": fails})
            TestWsgi().call(wrapped)
        assert TestWsgi().call(wrapped) == b"x"
        assert value(registry, "http_requests_total", method="GET", endpoint="unmatched", http_status="200", tenant="") == 2


class TestWsgi:
    def call(self, app, path="/", method="GET", close=True, **environ):
        body = app({"REQUEST_METHOD": method, "PATH_INFO": path, **environ}, lambda status, headers, *exc: None)
        try:
            return b"".join(body)
        finally:
            if close and hasattr(body, "close"):
                body.close()

    def test_counts_before_the_answer_is_sent(self, registry):
        seen = []

        def app(environ, start_response):
            seen.append(in_progress(registry))
            environ["shmetrics.endpoint"] = "/items/<id>"
            start_response("201 Created", [])
            return [b"a", b"b"]

        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
        body = wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
        assert total(registry, endpoint="/items/<id>", http_status="201") == 1 and seen == [1]
        assert b"".join(body) == b"ab" and in_progress(registry) == 1
        body.close()
        assert in_progress(registry) == 0 and timed(registry, "/items/<id>") == 1

    def test_a_stream_counts_before_its_first_piece(self, registry):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b""
            yield b"a"
            yield b"b"

        body = shmetrics.wsgi.instrument(app, "shop", registry=registry)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
        pieces = iter(body)
        assert next(pieces) == b"" and total(registry) is None
        assert next(pieces) == b"a" and total(registry) == 1
        assert list(pieces) == [b"b"] and in_progress(registry) == 0 and timed(registry) == 1
        body.close()
        assert timed(registry) == 1

    def test_the_last_status_counts(self, registry):
        """start_response may be called again with exc_info until something is sent."""
        started = []

        def twice(environ, start_response):
            start_response("200 OK", [])
            try:
                raise RuntimeError("no")
            except RuntimeError as error:
                start_response("503 Service Unavailable", [], (type(error), error, None))
            return [b"sorry"]

        def in_a_stream(environ, start_response):
            start_response("200 OK", [])
            yield b""
            start_response("502 Bad Gateway", [], (RuntimeError, RuntimeError("no"), None))
            yield b"sorry"

        for app, status in ((twice, "503"), (in_a_stream, "502")):
            wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
            body = wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *arguments: started.append(arguments))
            assert b"".join(body) == b"sorry"
            body.close()
            assert total(registry, http_status=status) == 1
        assert total(registry) is None and [len(arguments) for arguments in started] == [2, 3, 2, 3]

    def test_write(self, registry):
        written = []

        def app(environ, start_response):
            write = start_response("200 OK", [])
            assert total(registry) is None
            write(b"a")
            assert total(registry) == 1
            return [b"b"]

        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
        assert b"".join(wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: written.append)) == b"b" and written == [b"a"]

    def test_a_failure_is_a_500(self, registry):
        def app(environ, start_response):
            raise RuntimeError

        def later(environ, start_response):
            raise RuntimeError
            yield b""

        def begun(environ, start_response):
            start_response("200 OK", [])
            raise RuntimeError

        def begun_later(environ, start_response):
            start_response("200 OK", [])
            yield b""
            raise RuntimeError

        class Lazy:
            def __iter__(self):
                raise RuntimeError

        class Sized(Lazy):
            def __len__(self):
                return 1

        def lazy(environ, start_response):
            start_response("200 OK", [])
            return Lazy()

        def sized(environ, start_response):
            start_response("200 OK", [])
            return Sized()

        for failing in (app, later, begun, begun_later, lazy, sized):
            with pytest.raises(RuntimeError):
                self.call(shmetrics.wsgi.instrument(failing, "shop", registry=registry))
        assert total(registry, http_status="500") == 6 and total(registry) is None
        assert self.call(shmetrics.wsgi.instrument(lambda environ, start_response: [], "shop", registry=registry)) == b""
        assert total(registry, http_status="500") == 7, "it answers nothing"
        assert in_progress(registry) == 0 and timed(registry) == 7

    def test_a_failure_after_the_answer_began(self, registry):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"a"
            raise RuntimeError

        with pytest.raises(RuntimeError):
            self.call(shmetrics.wsgi.instrument(app, "shop", registry=registry))
        assert total(registry) == 1 and total(registry, http_status="500") is None and in_progress(registry) == 0

    def test_clients_that_go(self, registry):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"a"
            yield b"b"

        def silent(environ, start_response):
            yield b""
            raise AssertionError("closed before")

        for application in (app, silent):
            body = shmetrics.wsgi.instrument(application, "shop", registry=registry)(
                {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None
            )
            next(iter(body))
            assert in_progress(registry) == 1
            body.close()
        assert total(registry) == 1 and total(registry, http_status="499") == 1 and in_progress(registry) == 0
        # A server that closes nothing.
        body = shmetrics.wsgi.instrument(app, "shop", registry=registry)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
        del body
        gc.collect()
        assert in_progress(registry) == 0

    def test_claims_no_more_than_the_body_has(self, registry):
        class Lazy:
            def __iter__(self):
                return iter([b"a", b"b"])

        class Sized(Lazy):
            def __len__(self):
                return 2

        bodies = [[b"a", b"b"], (b"a", b"b"), (piece for piece in (b"a", b"b")), Lazy(), Sized()]
        for body in bodies:
            wanted = [name for name in ("__iter__", "__len__", "__next__") if hasattr(body, name)]

            def app(environ, start_response, body=body):
                start_response("200 OK", [])
                return body

            given = shmetrics.wsgi.instrument(app, "shop", registry=registry)({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
            assert [name for name in ("__iter__", "__len__", "__next__") if hasattr(given, name)] == wanted, body
            assert isinstance(given, list) == isinstance(body, list), "granian knows lists by their type"
            if "__len__" in wanted:
                assert len(given) == 2 and list(given) == [b"a", b"b"], "gevent measures the pieces first"
            assert list(given) == [b"a", b"b"]
            given.close()
        assert total(registry) == len(bodies) and in_progress(registry) == 0

    def test_closes_what_it_wraps_once(self, registry):
        class Body(list):
            closed = 0

            def close(self):
                self.closed += 1

        body = Body([b"x"])

        def app(environ, start_response):
            start_response("200 OK", [])
            return body

        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
        given = wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *a: None)
        assert len(given) == 1 and in_progress(registry) == 1
        assert list(given) == [b"x"]
        given.close()
        del given
        assert body.closed == 1 and in_progress(registry) == 0

    def test_files_stay_what_they_are(self, registry):
        """Servers know what their wrapper made by its type, uWSGI by its identity."""

        class Unknown:
            __slots__ = ()  # no weak references

            def read(self):
                return b""

            def __iter__(self):
                return iter(())

        def serve(body):
            def app(environ, start_response):
                start_response("200 OK", [])
                return body

            return shmetrics.wsgi.instrument(app, "shop", registry=registry)(
                {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "wsgi.file_wrapper": wsgiref.util.FileWrapper}, lambda *a: None
            )

        for make in (lambda: wsgiref.util.FileWrapper(io.BytesIO(b"x")), lambda: io.BytesIO(b"x")):
            body = make()
            assert serve(body) is body and in_progress(registry) == 1
            del body
            gc.collect()
            assert in_progress(registry) == 0, "as the server has let it go"
        for body in (Unknown(), b"bytes"):
            assert serve(body) is body and in_progress(registry) == 0
        assert total(registry) == 4 and timed(registry) == 4

    def test_connections_that_are_taken_over(self, registry):
        """Websockets are no requests, however a server does them."""

        def stops(environ, start_response):
            raise StopIteration

        taken = object()
        apps = [lambda environ, start_response: [], lambda environ, start_response: taken, stops]
        for app in apps:
            wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_UPGRADE": "WebSocket"}
            if app is stops:
                with pytest.raises(StopIteration):
                    wrapped(environ, None)
                continue
            body = wrapped(environ, None)
            assert (body is taken) == (app is apps[1])
            if body is not taken:
                body.close()
        assert in_progress(registry) == 0 and timed(registry) is None

    def test_the_page_and_odd_methods(self, registry):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"own"]

        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry, endpoint=lambda environ: "all")
        for method in ("BREW", "brew", "get"):
            self.call(wrapped, method=method)
        assert b'method="other"' in self.call(wrapped, "/metrics", SCRIPT_NAME="/shop")
        assert total(registry, "other", "all") == 2 and total(registry, endpoint="all") == 1, "the page is no request"
        hidden = shmetrics.wsgi.instrument(app, "shop", registry=registry, path=None)
        assert self.call(hidden, "/metrics") == b"own"

    def test_leaves_the_environment_alone(self, registry):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [repr(environ).encode()]

        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
        assert b"".join(wrapped(dict(environ), lambda *a: None)) == repr(environ).encode()


class TestAsgi:
    def call(self, app, path="/", receive=None, **scope):
        sent = []

        async def send(message):
            sent.append(message)

        asyncio.run(app({"type": "http", "method": "GET", "path": path, "headers": [], **scope}, receive, send))
        return sent

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

        assert len(self.call(shmetrics.asgi.instrument(other_framework, "shop", registry=registry), "/items/7")) == 2
        self.call(shmetrics.asgi.instrument(says_it, "shop", registry=registry), "/items/7")
        self.call(shmetrics.asgi.instrument(says_nothing, "shop", registry=registry), "/items/7")
        assert total(registry, endpoint="/said", http_status="201") == 1
        assert total(registry, http_status="204") == 1
        assert in_progress(registry) == 0

    def test_the_end_of_an_answer(self, registry):
        """Background work of an application is neither latency nor in progress."""
        ends = {
            "body": [{"type": "http.response.body", "more_body": True}, {"type": "http.response.body"}],
            "file": [{"type": "http.response.pathsend", "path": "/x"}],
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
                self.call(shmetrics.asgi.instrument(app, "shop", registry=registry))
            assert timed(registry) == before + 1
        assert total(registry) == 3 and total(registry, http_status="500") is None

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
                self.call(wrapped, receive=gone)
            else:
                with pytest.raises(error):
                    self.call(wrapped, receive=gone)
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
            self.call(wrapped, type=kind)
        assert passed == ["lifespan", "websocket"]
        assert b"http_requests_in_progress" in self.call(wrapped, "/metrics")[1]["body"]
        assert timed(registry) is None

    @pytest.mark.parametrize("path, root", [("/api/metrics", "/api"), ("/metrics", "/api"), ("/metrics", ""), ("/a/b/metrics", "/a/b/")])
    def test_the_page_below_a_root_path(self, path, root, registry):
        async def app(scope, receive, send):
            raise AssertionError("the page is the middleware's")

        wrapped = shmetrics.asgi.instrument(app, "shop", registry=registry)
        assert self.call(wrapped, path, root_path=root)[0]["status"] == 200
        with pytest.raises(AssertionError):
            self.call(wrapped, root + "/x/metrics", root_path=root)


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
        start, body = TestAsgi().call(app, headers=headers)
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


class TestStarlette:
    """Templates, which tests/frameworks looks at in many versions; here are the odd ways of putting
    applications together.
    """

    def app(self, registry, **options):
        pytest.importorskip("fastapi")
        from fastapi import APIRouter, FastAPI
        from starlette.applications import Starlette
        from starlette.middleware.cors import CORSMiddleware
        from starlette.responses import PlainTextResponse
        from starlette.routing import Host, Mount, Route, Router
        from starlette.staticfiles import StaticFiles

        async def answer(request):
            return PlainTextResponse("x")

        sub = FastAPI()
        inner = APIRouter(prefix="/inner")
        inner.add_api_route("/{rest:path}", lambda rest: rest)
        outer = APIRouter(prefix="/outer")
        outer.include_router(inner)
        sub.include_router(outer)
        sub.add_api_route("/u/{i}", lambda i: i)
        users = [Route("/", answer), Route("/{name:str}", answer, methods=["GET"]), Mount("/deep/{a}", routes=[Route("/{b}", answer)])]
        app = FastAPI()
        app.add_api_route("/u/{i}", lambda i: i)
        app.mount("/v1", sub)
        app.mount("/cors", CORSMiddleware(sub))
        app.mount("/static", StaticFiles(directory="."))
        app.mount("/plain", Starlette(routes=users))
        app.routes.append(Host("api.example.org", app=Router(routes=[Route("/h/{x}", answer)])))
        app.mount("/{tenant}/shop", Router(routes=users))
        return app

    EXPECTED = {
        "/u/1": "/u/{i}",
        "/v1/u/1": "/v1/u/{i}",
        "/v1/outer/inner/a/b": "/v1/outer/inner/{rest:path}",
        "/v1/none": "unmatched",
        "/cors/u/1": "/cors/u/{i}",
        "/cors/none": "unmatched",
        "/static/none": "/static",
        "/plain/": "/plain/",
        "/plain/v1": "/plain/{name:str}",
        "/plain/deep/deep/v1": "/plain/deep/{a}/{b}",
        "/v1x/shop/plain": "/{tenant}/shop/{name:str}",
        "/none": "unmatched",
        "/none/none/none": "unmatched",
    }

    @pytest.mark.parametrize("root", ["", "/api"])
    @pytest.mark.parametrize("how", ["added", "around", "around another"])
    def test_templates(self, how, root, registry):
        app = self.app(registry)
        if how == "added":
            served = shmetrics.asgi.instrument(app, "shop", registry=registry)
            assert served is app
        elif how == "around":
            served = shmetrics.asgi.Middleware(app, "shop", registry=registry)
        else:

            async def passing(scope, receive, send):
                await app(scope, receive, send)

            served = shmetrics.asgi.instrument(passing, "shop", registry=registry)
        for path, endpoint in self.EXPECTED.items():
            before = sum(total(registry, endpoint=endpoint, http_status=status) or 0 for status in ("200", "404"))
            TestAsgi().call(served, root + path, receive=self.receive, root_path=root, query_string=b"")
            after = sum(total(registry, endpoint=endpoint, http_status=status) or 0 for status in ("200", "404"))
            assert after == before + 1, path
        TestAsgi().call(served, root + "/h/1", receive=self.receive, root_path=root, headers=[(b"host", b"api.example.org")])
        assert total(registry, endpoint="/h/{x}") == 1
        TestAsgi().call(served, root + "/plain/v1", receive=self.receive, root_path=root, method="PUT")
        assert total(registry, "PUT", "/plain/{name:str}", "405") == 1
        assert in_progress(registry) == 0

    async def receive(self):
        return {"type": "http.request", "body": b"", "more_body": False}

    def test_one_of_several_mounted_applications(self, registry):
        """A middleware within knows the routes of its own application, and says so."""
        pytest.importorskip("starlette")
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Mount, Route

        async def answer(request):
            return PlainTextResponse("x")

        for wrap in (shmetrics.asgi.instrument, shmetrics.asgi.Middleware):
            sub = Starlette(routes=[Route("/u/{i}", answer)])
            app = Starlette(routes=[Mount("/v1", app=wrap(sub, "shop", registry=registry)), Route("/u/{other}", answer)])
            before = total(registry, endpoint="/u/{i}") or 0
            TestAsgi().call(app, "/v1/u/1", receive=self.receive)
            assert total(registry, endpoint="/u/{i}") == before + 1
            assert TestAsgi().call(app, "/v1/metrics", receive=self.receive)[0]["status"] == 200

    def test_scanners_make_no_series(self, registry):
        app = self.app(registry)
        shmetrics.asgi.instrument(app, "shop", registry=registry)

        async def scan(first, count):
            async def send(message):
                pass

            for i in range(first, first + count):
                for prefix in ("/", "/v1/", "/cors/", "/static/", "/plain/x/y", "/u/", "/v1/u/"):
                    scope = {"type": "http", "method": "M%d" % i if i % 2 else "GET", "path": prefix + "x%d" % i, "headers": [], "query_string": b""}
                    await app(scope, self.receive, send)

        asyncio.run(scan(0, 20))
        before = series(registry)
        asyncio.run(scan(1000, 1500))  # of seven paths each
        assert series(registry) == before < 400

    def test_answers_of_other_middlewares(self, registry):
        """Whoever refuses a request, the route is the one that has its path."""
        pytest.importorskip("starlette")
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        class Refuses:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                await PlainTextResponse("no", 401)(scope, receive, send)

        app = Starlette(routes=[Route("/u/{i}", lambda request: None)])
        app.add_middleware(Refuses)
        shmetrics.asgi.instrument(app, "shop", registry=registry)
        TestAsgi().call(app, "/u/1", receive=self.receive)
        TestAsgi().call(app, "/none", receive=self.receive)
        assert total(registry, endpoint="/u/{i}", http_status="401") == 1 and total(registry, http_status="401") == 1


    def test_paths_that_are_rewritten(self, registry):
        pytest.importorskip("starlette")
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Mount, Route

        async def answer(request):
            return PlainTextResponse("x")

        class Rewrites:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                scope["path"] = scope["path"].replace("/old", "/new")
                await self.app(scope, receive, send)

        app = Starlette(routes=[Route("/new/{i}", answer), Mount("/sub", routes=[Route("/new/{i}", answer)])])
        app.add_middleware(Rewrites)
        shmetrics.asgi.instrument(app, "shop", registry=registry)
        for path in ("/old/1", "/new/1", "/sub/old/1"):
            TestAsgi().call(app, path, receive=self.receive)
        assert total(registry, endpoint="/new/{i}") == 2 and total(registry, endpoint="/sub/new/{i}") == 1


class TestFlask:
    @pytest.fixture
    def flask(self):
        return pytest.importorskip("flask")

    def test_rules(self, flask, registry):
        app = flask.Flask("shop", static_folder=None)
        inner, outer = flask.Blueprint("inner", "inner"), flask.Blueprint("outer", "outer")

        @inner.get("/u/<int:i>")
        def user(i):
            return "x"

        @outer.url_value_preprocessor
        def refuse(endpoint, values):
            if values and values.get("i") == 9:
                flask.abort(410)

        @app.before_request
        def look():
            # Of the environment, others make requests as well.
            flask.Request(flask.request.environ)
            if flask.request.headers.get("X-Deny"):
                flask.abort(401)

        @app.route("/own/metrics")
        def own():
            return "own"

        outer.register_blueprint(inner, url_prefix="/inner")
        app.register_blueprint(outer, url_prefix="/outer")
        assert shmetrics.flask.instrument(app, registry=registry, path="/own/metrics") is app
        client = app.test_client()
        for path, method, headers, status, endpoint in [
            ("/outer/inner/u/1", "GET", {}, "200", "/outer/inner/u/<int:i>"),
            ("/outer/inner/u/9", "GET", {}, "410", "/outer/inner/u/<int:i>"),
            ("/outer/inner/u/1", "PUT", {}, "405", "/outer/inner/u/<int:i>"),
            ("/outer/inner/u/1", "GET", {"X-Deny": "1"}, "401", "/outer/inner/u/<int:i>"),
            ("/none", "GET", {"X-Deny": "1"}, "401", "unmatched"),
            ("/none", "GET", {}, "404", "unmatched"),
        ]:
            assert client.open(path, method=method, headers=headers, buffered=True).status.startswith(status)
            assert total(registry, method, endpoint, status) == 1, (path, status)
        assert b"http_requests_total{" in client.get("/own/metrics").data, "the middleware's page comes first"
        assert in_progress(registry) == 0

    def test_hosts_that_are_refused(self, flask, registry, recwarn):
        app = flask.Flask("shop")
        app.config["TRUSTED_HOSTS"] = ["good.example.org"]
        app.add_url_rule("/u/<i>", "user", lambda i: "x")
        shmetrics.flask.instrument(app, registry=registry)
        statuses = [app.test_client().get("/u/1", headers={"Host": host}, buffered=True).status_code for host in ("evil", "good.example.org")]
        assert statuses == [400, 200]
        assert total(registry, http_status="400") == 1 and total(registry, endpoint="/u/<i>") == 1
        assert not [warning for warning in recwarn if issubclass(warning.category, shmetrics.SegmentWarning)]

    def test_middlewares_within(self, flask, registry):
        """One that answers, and one that mounts another application."""
        from werkzeug.middleware.dispatcher import DispatcherMiddleware

        app, other = flask.Flask("shop"), flask.Flask("other")
        app.add_url_rule("/u/<i>", "user", lambda i: "x")
        other.add_url_rule("/o/<i>", "other", lambda i: "x")
        plain = app.wsgi_app

        def denies(environ, start_response):
            if environ["PATH_INFO"].endswith("/0"):
                start_response("401 Unauthorized", [])
                return []
            return plain(environ, start_response)

        app.wsgi_app = DispatcherMiddleware(denies, {"/other": other})
        shmetrics.flask.instrument(app, registry=registry)
        client = app.test_client()
        for path in ("/u/1", "/u/0", "/other/o/1", "/other/none"):
            client.get(path, buffered=True)
        assert total(registry, endpoint="/u/<i>") == 1 and total(registry, endpoint="/u/<i>", http_status="401") == 1
        assert total(registry, endpoint="/o/<i>") == 1, "relative to what is mounted"
        assert total(registry, http_status="404") == 1

    def test_scanners_make_no_series(self, flask, registry):
        app = flask.Flask("shop")
        app.add_url_rule("/u/<int:i>", "user", lambda i: "x")
        shmetrics.flask.instrument(app, registry=registry)
        client = app.test_client()

        def scan(first, count):
            for i in range(first, first + count):
                for prefix in ("/", "/u/", "/static/"):
                    client.open(prefix + "x%d" % i, method="M%d" % i if i % 2 else "GET", buffered=True)

        scan(0, 20)
        before = series(registry)
        scan(1000, 3400)
        assert series(registry) == before

    def test_files(self, flask, registry, tmp_path):
        (tmp_path / "file").write_bytes(b"contents")
        app = flask.Flask("shop", static_folder=None)
        app.add_url_rule("/file", "file", lambda: flask.send_file(tmp_path / "file"))
        shmetrics.flask.instrument(app, registry=registry)
        made = []

        class Wrapper(wsgiref.util.FileWrapper):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                made.append(self)

        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/file", "wsgi.file_wrapper": Wrapper, "SERVER_NAME": "x", "SERVER_PORT": "80"}
        environ.update({"wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO()})
        body = app(environ, lambda *a: None)
        assert body is made.pop() and b"".join(body) == b"contents"
        body.close()
        del body
        gc.collect()
        assert total(registry, endpoint="/file") == 1 and in_progress(registry) == 0


class TestAiohttp:
    @pytest.fixture
    def web(self):
        return pytest.importorskip("aiohttp.web")

    def serve(self, app, registry, talk):
        from aiohttp.test_utils import TestClient, TestServer

        async def main():
            async with TestClient(TestServer(app)) as client:
                await talk(client)
                for _ in range(1000):
                    if in_progress(registry) == 0:
                        break
                    await asyncio.sleep(0.005)
            assert in_progress(registry) == 0

        asyncio.run(main())

    def test_scanners_make_no_series(self, web, registry, tmp_path):
        async def ok(request):
            return web.Response(text="x")

        below = web.Application()
        below.router.add_get("/items/{n:[0-9]+}", ok)
        app = web.Application()
        app.router.add_get("/u/{i:[0-9]+}", ok)
        app.router.add_static("/static", tmp_path)
        app.add_subapp("/v1", below)
        shmetrics.aiohttp.instrument(app, "shop", registry=registry)

        async def talk(client):
            async def scan(first, count):
                for i in range(first, first + count):
                    for prefix in ("/", "/u/", "/static/", "/v1/", "/v1/items/"):
                        async with client.request("M%d" % i if i % 2 else "GET", prefix + "x%d" % i) as response:
                            await response.read()

            await scan(0, 20)
            before = series(registry)
            await scan(1000, 2000)  # of five paths each
            assert series(registry) == before < 200

        self.serve(app, registry, talk)

    def test_the_status_that_is_sent(self, web, registry, tmp_path):
        """A file's is known when it is opened, that of an exception when aiohttp has made an answer
        of it.
        """
        (tmp_path / "file").write_bytes(b"contents")

        async def file(request):
            return web.FileResponse(tmp_path / request.match_info["name"])

        async def late(request):
            raise asyncio.TimeoutError

        async def denied(request):
            raise web.HTTPForbidden

        app = web.Application()
        app.router.add_get("/files/{name}", file)
        app.router.add_get("/late", late)
        app.router.add_get("/denied", denied)
        shmetrics.aiohttp.instrument(app, "shop", registry=registry)

        async def talk(client):
            etag = None
            for headers, status, name in [
                ({}, 200, "file"),
                ({"Range": "bytes=1-2"}, 206, "file"),
                ({"Range": "bytes=100-"}, 416, "file"),
                ({"If-None-Match": "etag"}, 304, "file"),
                ({}, 404, "none"),
            ]:
                headers = {key: etag if value == "etag" else value for key, value in headers.items()}
                async with client.get("/files/" + name, headers=headers) as response:
                    await response.read()
                    etag = response.headers.get("ETag", etag)
                    assert response.status == status
                assert total(registry, endpoint="/files/{name}", http_status=str(status)) == 1
            for path in ("/late", "/denied"):
                async with client.get(path) as response:
                    assert total(registry, endpoint=path, http_status=str(response.status)) == 1

        self.serve(app, registry, talk)
        assert timed(registry, "/files/{name}") == 5

    def test_the_page(self, web, registry):
        """Of an application that is mounted, and before the application's own."""

        async def own(request):
            return web.Response(text="own")

        outer, sub = web.Application(), web.Application()
        for app in (sub, outer):
            app.router.add_get("/metrics", own)
        shmetrics.aiohttp.instrument(sub, "shop", registry=registry)
        outer.add_subapp("/sub", sub)

        async def talk(client):
            for method, path, status, is_page in [
                ("GET", "/sub/metrics", 200, True),
                ("HEAD", "/sub/metrics", 200, False),
                ("POST", "/sub/metrics", 405, False),
                ("GET", "/metrics", 200, False),
                ("GET", "/sub/x/metrics", 404, False),
            ]:
                async with client.request(method, path) as response:
                    assert response.status == status
                    assert ("http_requests_in_progress" in await response.text()) == is_page, path

        self.serve(outer, registry, talk)
        assert total(registry, http_status="404") == 1

    def test_websockets_streams_and_cancelled_requests(self, web, registry):
        waits = asyncio.Event
        started: dict = {}

        async def socket(request):
            response = web.WebSocketResponse()
            await response.prepare(request)
            assert in_progress(registry) == 0
            await response.close()
            return response

        async def stream(request):
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"a")
            started["stream"].set()
            assert in_progress(registry) == 1
            await response.write(b"b")
            return response

        async def cancelled(request):
            raise asyncio.CancelledError

        app = web.Application()
        for handler in (socket, stream, cancelled):
            app.router.add_get("/" + handler.__name__, handler)
        shmetrics.aiohttp.instrument(app, "shop", registry=registry)

        async def talk(client):
            import aiohttp

            started["stream"] = waits()
            async with client.ws_connect("/socket") as ws:
                await ws.receive()
            async with client.get("/stream") as response:
                assert await response.read() == b"ab" and started["stream"].is_set()
            with pytest.raises(aiohttp.ClientError):
                await client.get("/cancelled")

        self.serve(app, registry, talk)
        assert timed(registry, "/socket") is None and timed(registry, "/stream") == 1
        assert total(registry, endpoint="/cancelled", http_status="499") == 1


    def test_clients_that_go_before_the_answer(self, web, registry):
        """The request ends when aiohttp drops it, and not when the garbage collector finds it. Both
        applications count it.
        """
        answers: list = []

        async def late(request):
            await answers[0].wait()
            return web.Response(text="late")

        async def breaks(request, response):
            if "broken" in request.query:
                raise ConnectionResetError  # as where headers are written at once

        outer, sub = web.Application(), web.Application()
        sub.router.add_get("/late", late)
        shmetrics.aiohttp.instrument(sub, "sub", registry=registry, prefix="sub")
        sub.on_response_prepare.append(breaks)
        outer.add_subapp("/sub", sub)
        shmetrics.aiohttp.instrument(outer, "shop", registry=registry)

        async def talk(client):
            import aiohttp

            answers.append(asyncio.Event())
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(b"GET /sub/late HTTP/1.1\r\nHost: x\r\n\r\n")
            while in_progress(registry) != 1:
                await asyncio.sleep(0.005)
            writer.close()
            await asyncio.sleep(0.02)
            answers[0].set()
            async with client.get("/sub/late") as response:
                assert await response.text() == "late"
            with pytest.raises(aiohttp.ClientError):
                await client.get("/sub/late?broken")

        gc.collect()
        gc.disable()
        try:
            self.serve(outer, registry, talk)
        finally:
            gc.enable()
        assert timed(registry, "/sub/late") == 3
        assert registry.get_sample_value("sub_http_requests_in_progress", {"app_name": "sub"}) == 0


class TestDjango:
    """Applications in one process share Django's settings, so each test overrides what it needs."""

    @pytest.fixture
    def django(self, registry):
        django = pytest.importorskip("django")
        from django.conf import settings

        if not settings.configured:
            settings.configure(ALLOWED_HOSTS=["testserver"], ROOT_URLCONF="none", SECRET_KEY="test", CACHES={}, USE_I18N=True)
            django.setup()
        import types

        from django.conf.urls.i18n import i18n_patterns
        from django.http import FileResponse, HttpResponse, StreamingHttpResponse
        from django.test import Client, override_settings
        from django.urls import clear_url_caches, include, path, re_path

        def streams(request):
            assert in_progress(registry) == 1
            return StreamingHttpResponse(iter([b"a", b"b"]))

        def answer(request, **_):
            return HttpResponse("x")

        urls = types.ModuleType("urls_of_the_test")
        urls.urlpatterns = [
            path("items/<int:pk>/", answer),
            path("shop/", include(([path("eu/", include([re_path("^carts/(?P<id>[0-9]+)$", answer)]))], "shop"), namespace="n")),
            re_path("^old/(?P<id>[0-9]+)$", answer),
            path("stream", streams),
            path("file", lambda request: FileResponse(io.BytesIO(b"contents"))),
            path("page", shmetrics.django.metrics),
            path("metrics", answer),
            *i18n_patterns(path("hello/<name>", answer)),
        ]

        def make(middleware=(), **options):
            override = override_settings(
                ROOT_URLCONF=urls,
                MIDDLEWARE=["shmetrics.django.Middleware", *middleware],
                SHMETRICS={"app_name": "shop", "registry": registry, **options},
            )
            clear_url_caches()
            override.enable()
            made.append(override)
            return Client(raise_request_exception=False)

        made: list = []
        yield make
        for override in made:
            override.disable()

    def test_routes(self, django, registry):
        client = django()
        for path, endpoint in {
            "/items/1/": "/items/<int:pk>/",
            "/shop/eu/carts/1": "/shop/eu/carts/(?P<id>[0-9]+)$",
            "/old/1": "/old/(?P<id>[0-9]+)$",
            "/en-us/hello/en-us": "/en-us/hello/<name>",
        }.items():
            assert client.get(path).status_code == 200
            assert total(registry, endpoint=endpoint) == 1, path
        for i in range(50):
            client.get("/none/%d" % i)
        assert total(registry, http_status="404") == 50
        client.get("/items/1/", HTTP_HOST="evil")
        assert in_progress(registry) == 0

    def test_the_page(self, django, registry):
        client = django()
        assert b"http_requests_in_progress" in client.get("/metrics").content, "the middleware's comes first"
        assert client.post("/metrics").status_code == 405 and client.head("/metrics").content == b""
        assert timed(registry) is None
        client = django(path=None)
        assert client.get("/metrics").content == b"x" and client.get("/page").status_code == 200

    def test_streams_and_files(self, django, registry):
        client = django()
        for path, body in {"/stream": b"ab", "/file": b"contents"}.items():
            response = client.get(path)
            assert total(registry, endpoint=path) == 1
            assert b"".join(response.streaming_content) == body
            response.close()
            assert timed(registry, path) == 1 and in_progress(registry) == 0

    def test_scanners_make_no_series(self, django, registry):
        client = django()

        def scan(first, count):
            for i in range(first, first + count):
                client.generic("M%d" % i if i % 2 else "GET", "/%d/x%d" % (i, i))
                client.generic("GET", "/items/x%d" % i)

        scan(0, 20)
        before = series(registry)
        scan(1000, 5000)
        assert series(registry) == before

    def test_answers_of_other_middlewares(self, django, registry):
        client = django(middleware=[__name__ + ".denies"])
        client.get("/items/1/")
        client.get("/none")
        assert total(registry, endpoint="/items/<int:pk>/", http_status="401") == 1 and total(registry, http_status="401") == 1

    def test_cached_responses(self, django, registry):
        """A response may be pickled after the middleware has seen it."""
        import pickle

        from django.http import HttpResponse

        django()
        response = shmetrics.django.Middleware(lambda request: HttpResponse("x"))(self.request())
        again = pickle.loads(pickle.dumps(response))
        assert in_progress(registry) == 1
        again.close()
        assert in_progress(registry) == 1
        response.close()
        assert in_progress(registry) == 0 and again.content == b"x"

    def test_async(self, django, registry):
        from django.http import HttpResponse

        django()

        async def answers(request):
            return HttpResponse("x")

        async def cancelled(request):
            raise asyncio.CancelledError

        async def fails(request):
            raise RuntimeError

        asyncio.run(shmetrics.django.Middleware(answers)(self.request())).close()
        for get_response, error in ((cancelled, asyncio.CancelledError), (fails, RuntimeError)):
            with pytest.raises(error):
                asyncio.run(shmetrics.django.Middleware(get_response)(self.request()))
        route = "/items/<int:pk>/"
        assert [total(registry, endpoint=route, http_status=status) for status in ("200", "499", "500")] == [1, 1, 1]
        page = asyncio.run(shmetrics.django.Middleware(answers)(self.request("/metrics")))
        assert b"http_requests_total" in page.content and in_progress(registry) == 0

    def request(self, path="/items/1/"):
        from django.test import RequestFactory

        return RequestFactory().get(path)

    @pytest.mark.parametrize("options", [{"bucket": 1}, {"path": "metrics"}])
    def test_wrong_settings(self, django, options):
        from django.core.exceptions import ImproperlyConfigured

        django(**options)
        with pytest.raises(ImproperlyConfigured, match="SHMETRICS"):
            shmetrics.django.Middleware(lambda request: None)


def denies(get_response):
    from django.http import HttpResponse

    return lambda request: HttpResponse(status=401)
