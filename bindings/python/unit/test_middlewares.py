"""The middlewares: what they count, when, and what they leave alone. The frameworks' own tests are with the example applications."""

from __future__ import annotations

import asyncio

import pytest

import shmetrics.asgi
import shmetrics.wsgi


def value(registry, name, **labels):
    return registry.get_sample_value(name, {"app_name": "shop", **labels})


def total(registry, method="GET", endpoint="unmatched", http_status="200"):
    return value(registry, "http_requests_total", method=method, endpoint=endpoint, http_status=http_status)


class TestWsgi:
    def call(self, app, path="/", method="GET", close=True):
        body = app({"REQUEST_METHOD": method, "PATH_INFO": path}, lambda status, headers, *exc: None)
        try:
            return b"".join(body)
        finally:
            if close and hasattr(body, "close"):
                body.close()

    def test_counts_before_the_answer_is_sent(self, registry):
        seen = []

        def app(environ, start_response):
            seen.append(value(registry, "http_requests_in_progress"))
            environ["shmetrics.endpoint"] = "/items/<id>"
            start_response("201 Created", [])
            seen.append(total(registry, endpoint="/items/<id>", http_status="201"))
            return [b"a", b"b"]

        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
        assert self.call(wrapped) == b"ab" and seen == [1, 1]
        assert value(registry, "http_requests_in_progress") == 0
        assert value(registry, "http_request_latency_seconds_count", endpoint="/items/<id>") == 1

    def test_a_failure_is_a_500(self, registry):
        def app(environ, start_response):
            raise RuntimeError

        def later(environ, start_response):
            raise RuntimeError
            yield b""

        for failing in (app, later):
            with pytest.raises(RuntimeError):
                self.call(shmetrics.wsgi.instrument(failing, "shop", registry=registry))
        assert total(registry, http_status="500") == 2
        assert value(registry, "http_requests_in_progress") == 0

    def test_closes_what_it_wraps(self, registry):
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
        assert len(given) == 1 and value(registry, "http_requests_in_progress") == 1
        given.close()
        assert body.closed == 1 and value(registry, "http_requests_in_progress") == 0

    def test_the_page_and_odd_methods(self, registry):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [b"own"]

        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry, endpoint=lambda environ: "all")
        self.call(wrapped, method="BREW")
        assert b'method="other"' in self.call(wrapped, "/metrics")
        assert total(registry, endpoint="all") is None, "the page is no request"
        hidden = shmetrics.wsgi.instrument(app, "shop", registry=registry, path=None)
        assert self.call(hidden, "/metrics") == b"own"


class TestAsgi:
    def call(self, app, path="/", **scope):
        sent = []

        async def send(message):
            sent.append(message)

        asyncio.run(app({"type": "http", "method": "GET", "path": path, "headers": [], **scope}, None, send))
        return sent

    def test_counts_by_route(self, registry):
        class Route:
            path = "/items/{id}"

        async def fastapi(scope, receive, send):
            scope["route"] = Route
            await send({"type": "http.response.start", "status": 200})
            assert total(registry, endpoint="/items/{id}") == 1, "before it is sent on"
            await send({"type": "http.response.body"})

        async def starlette(scope, receive, send):
            scope.update(endpoint=object(), path_params={"id": 7, "none": ""})
            await send({"type": "http.response.start", "status": 204})

        assert len(self.call(shmetrics.asgi.instrument(fastapi, "shop", registry=registry), "/items/7")) == 2
        self.call(shmetrics.asgi.instrument(starlette, "shop", registry=registry), "/items/7")
        assert total(registry, endpoint="/items/{id}", http_status="204") == 1
        assert value(registry, "http_requests_in_progress") == 0

    def test_failures_and_cancelled_requests(self, registry):
        async def fails(scope, receive, send):
            raise RuntimeError

        async def cancelled(scope, receive, send):
            raise asyncio.CancelledError

        with pytest.raises(RuntimeError):
            self.call(shmetrics.asgi.instrument(fails, "shop", registry=registry))
        with pytest.raises(asyncio.CancelledError):
            self.call(shmetrics.asgi.instrument(cancelled, "shop", registry=registry))
        assert total(registry, http_status="500") == 1
        assert value(registry, "http_requests_in_progress") == 0

    def test_other_scopes_pass(self, registry):
        passed = []

        async def app(scope, receive, send):
            passed.append(scope["type"])

        wrapped = shmetrics.asgi.instrument(app, "shop", registry=registry)
        for kind in ("lifespan", "websocket"):
            self.call(wrapped, type=kind)
        assert passed == ["lifespan", "websocket"]
        assert b"http_requests_in_progress" in self.call(wrapped, "/metrics")[1]["body"]
