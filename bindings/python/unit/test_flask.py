"""Metrics of Flask applications."""

from __future__ import annotations

import gc
import io
import wsgiref.util

import pytest
from middlewares import in_progress, total

import shmetrics.flask


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
        for path in ("/u/1", "/u/0", "/other/o/1", "/other/none", "/static/none"):
            client.get(path, buffered=True)
        assert total(registry, endpoint="/u/<i>") == 1 and total(registry, endpoint="/u/<i>", http_status="401") == 1
        assert total(registry, endpoint="/o/<i>") == 1, "relative to what is mounted"
        assert total(registry, http_status="404") == 1
        assert total(registry, endpoint="/static/<path:filename>", http_status="404") == 1

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
