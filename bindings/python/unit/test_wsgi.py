"""Metrics of WSGI applications, and bodies that the middleware must not change."""

from __future__ import annotations

import gc
import io
import os
import wsgiref.util

import pytest
from middlewares import call_wsgi, in_progress, responds, timed, total
from processes import in_child

import shmetrics.wsgi


def serve(app, registry, start_response=lambda *arguments: None, **environ):
    """The body that a server gets from the middleware around an application."""
    wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
    return wrapped({"REQUEST_METHOD": "GET", "PATH_INFO": "/", **environ}, start_response)


class TestWsgi:
    def test_counts_before_the_answer_is_sent(self, registry):
        seen = []

        def app(environ, start_response):
            seen.append(in_progress(registry))
            environ["shmetrics.endpoint"] = "/items/<id>"
            start_response("201 Created", [])
            return [b"a", b"b"]

        body = serve(app, registry)
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

        body = serve(app, registry)
        pieces = iter(body)
        assert next(pieces) == b"" and total(registry) is None
        assert next(pieces) == b"a" and total(registry) == 1
        assert list(pieces) == [b"b"] and in_progress(registry) == 0 and timed(registry) == 1
        body.close()
        assert timed(registry) == 1

    def test_arguments_by_name_are_passed_on(self, registry):
        """As wsgiref and gunicorn call them."""
        given = []

        def start(status, headers, exc_info=None):
            given.append((status, headers, exc_info))

        def by_name(environ, start_response):
            start_response("202 Accepted", [], exc_info=None)
            start_response(status="201 Created", headers=[("a", "b")])
            return [b""]

        serve(by_name, registry, start).close()
        assert given == [("202 Accepted", [], None), ("201 Created", [("a", "b")], None)]
        assert total(registry, http_status="201") == 1 and total(registry, http_status="202") is None

    def test_a_forked_child_does_not_count_the_request(self, registry):
        """It has copies of the request, which is the parent's."""

        def app(environ, start_response):
            child = os.fork()
            if child == 0:
                raise SystemExit  # through the middleware
            os.waitpid(child, 0)
            start_response("200 OK", [])
            return iter([b"a"])

        before = os.getpid()
        try:
            body = serve(app, registry)
        except SystemExit:
            if os.getpid() != before:
                os._exit(0)
            raise
        assert total(registry) is None and total(registry, http_status="500") is None and in_progress(registry) == 1

        def drops():
            nonlocal body
            del body
            gc.collect()

        in_child(drops)
        in_child(lambda: list(body))
        assert total(registry) is None and timed(registry) is None and in_progress(registry) == 1
        assert list(body) == [b"a"] and total(registry) == 1 and timed(registry) == 1 and in_progress(registry) == 0

        def counts():
            call_wsgi(shmetrics.wsgi.instrument(lambda e, s: s("204 No Content", []) and [] or [], "shop", registry=registry))

        in_child(counts)
        assert total(registry, http_status="204") == 1, "requests of its own count"

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
            body = serve(app, registry, lambda *arguments: started.append(arguments))
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

        assert b"".join(serve(app, registry, lambda *arguments: written.append)) == b"b" and written == [b"a"]

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

        for failing in (app, later, begun, begun_later, responds(Lazy()), responds(Sized())):
            with pytest.raises(RuntimeError):
                call_wsgi(shmetrics.wsgi.instrument(failing, "shop", registry=registry))
        assert total(registry, http_status="500") == 6 and total(registry) is None
        assert call_wsgi(shmetrics.wsgi.instrument(lambda environ, start_response: [], "shop", registry=registry)) == b""
        assert total(registry, http_status="500") == 7, "it answers nothing"
        assert in_progress(registry) == 0 and timed(registry) == 7

    def test_a_failure_after_the_answer_began(self, registry):
        def app(environ, start_response):
            start_response("200 OK", [])
            yield b"a"
            raise RuntimeError

        with pytest.raises(RuntimeError):
            call_wsgi(shmetrics.wsgi.instrument(app, "shop", registry=registry))
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
            body = serve(application, registry)
            next(iter(body))
            assert in_progress(registry) == 1
            body.close()
        assert total(registry) == 1 and total(registry, http_status="499") == 1 and in_progress(registry) == 0
        # A server that closes nothing.
        body = serve(app, registry)
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
            given = serve(responds(body), registry)
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
        given = serve(responds(body), registry)
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

        wrapper = {"wsgi.file_wrapper": wsgiref.util.FileWrapper}
        for make in (lambda: wsgiref.util.FileWrapper(io.BytesIO(b"x")), lambda: io.BytesIO(b"x")):
            body = make()
            assert serve(responds(body), registry, **wrapper) is body and in_progress(registry) == 1
            del body
            gc.collect()
            assert in_progress(registry) == 0, "as the server has let it go"
        for body in (Unknown(), b"bytes"):
            assert serve(responds(body), registry, **wrapper) is body and in_progress(registry) == 0
        assert total(registry) == 4 and timed(registry) == 4

    def test_connections_that_are_taken_over(self, registry):
        """Websockets are no requests, however a server does them."""

        def stops(environ, start_response):
            raise StopIteration

        taken = object()
        serve(lambda environ, start_response: [], registry, HTTP_UPGRADE="WebSocket").close()
        assert serve(lambda environ, start_response: taken, registry, HTTP_UPGRADE="WebSocket") is taken
        with pytest.raises(StopIteration):
            serve(stops, registry, HTTP_UPGRADE="WebSocket")
        assert in_progress(registry) == 0 and timed(registry) is None

    def test_the_page_and_odd_methods(self, registry):
        app = responds([b"own"])
        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry, endpoint=lambda environ: "all")
        for method in ("BREW", "brew", "get"):
            call_wsgi(wrapped, method=method)
        assert b'method="other"' in call_wsgi(wrapped, "/metrics", SCRIPT_NAME="/shop")
        assert total(registry, "other", "all") == 2 and total(registry, endpoint="all") == 1, "the page is no request"
        hidden = shmetrics.wsgi.instrument(app, "shop", registry=registry, path=None)
        assert call_wsgi(hidden, "/metrics") == b"own"

    def test_leaves_the_environment_alone(self, registry):
        def app(environ, start_response):
            start_response("200 OK", [])
            return [repr(environ).encode()]

        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}
        wrapped = shmetrics.wsgi.instrument(app, "shop", registry=registry)
        assert b"".join(wrapped(dict(environ), lambda *a: None)) == repr(environ).encode()
