"""Arguments of the middlewares: errors of them come at the call, and what each does."""

from __future__ import annotations

import enum
import http
import inspect
import re
import warnings

import pytest
from middlewares import call_asgi, call_wsgi, responds, total, value

import shmetrics.aiohttp
import shmetrics.asgi
import shmetrics.flask
import shmetrics.wsgi
from shmetrics._http import RequestMetrics, status_of


def total_with(registry, endpoint, tenant):
    return value(registry, "http_requests_total", method="GET", endpoint=endpoint, http_status="200", tenant=tenant) or 0


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
        "pattern of bytes": {"excluded_paths": [b"/health"]},
        "compiled pattern of bytes": {"excluded_paths": re.compile(b"/health")},
        "no label value": {"labels": {"region": None}},
        "series": {"max_series": -1},
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
        for path in ("/", "/health", "/health2", "/static/a/b", "/static", "/123", "/x123"):
            call_wsgi(wrapped, path, HTTP_HOST="t1")
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
        call_asgi(shmetrics.asgi.instrument(app, "shop", registry=registry, labels=labels, endpoint=lambda scope: scope["method"]))
        call_asgi(shmetrics.asgi.instrument(app, "shop", registry=registry, labels=labels, endpoint=None))
        for endpoint in ("GET", "unmatched"):
            assert value(registry, "http_requests_total", method="GET", endpoint=endpoint, http_status="200", kind="http") == 1

    def test_functions_that_return_no_text(self, registry):
        class Fails:
            def __str__(self):
                raise RuntimeError("no text")

        for returned, endpoint, label in [(None, "unmatched", ""), (7, "7", "7"), (Fails(), "unmatched", "")]:
            options = {"endpoint": lambda environ: returned, "labels": {"tenant": lambda environ: returned}}
            wrapped = shmetrics.wsgi.instrument(responds([b""]), "shop", registry=registry, **options)
            before = total_with(registry, endpoint, label)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                call_wsgi(wrapped)
            assert total_with(registry, endpoint, label) == before + 1
            assert bool(said) == isinstance(returned, Fails)

    def test_series_are_limited(self, registry):
        """A function of the application that makes a label of each path does not fill the segment."""
        limited = shmetrics.wsgi.instrument(
            responds([b""]), "shop", registry=registry, endpoint=lambda environ: environ["PATH_INFO"], max_series=5
        )
        for i in range(8):
            call_wsgi(limited, "/%d" % i)
        found = {family.name: family.samples for family in registry.collect()}
        requests = [s for s in found["http_requests"] if s.name == "http_requests_total"]
        assert len(requests) == 6 and sum(s.value for s in requests) == 8
        assert [s.value for s in requests if "shmetrics_overflow" in s.labels] == [3]
        assert sum(s.name.endswith("_count") for s in found["http_request_latency_seconds"]) == 6
        assert inspect.signature(RequestMetrics).parameters["max_series"].default == 10_000

    def test_one_excluded_path(self, registry):
        metrics = RequestMetrics("shop", registry=registry, excluded_paths="/health")
        assert metrics.excludes("/health") and not metrics.excludes("/") and not metrics.excludes("/healthy")

    @pytest.mark.filterwarnings("ignore::shmetrics.SegmentWarning")
    def test_functions_that_fail(self, registry):
        def fails(_):
            raise RuntimeError("no")

        options = {"endpoint": fails, "labels": {"tenant": fails}}
        with pytest.warns(shmetrics.SegmentWarning, match="endpoint|labels"):
            wrapped = shmetrics.wsgi.instrument(responds([b"x"]), "shop", registry=registry, **options)
            call_wsgi(wrapped)
        assert call_wsgi(wrapped) == b"x"
        assert value(registry, "http_requests_total", method="GET", endpoint="unmatched", http_status="200", tenant="") == 2
