"""Metrics of Django projects."""

from __future__ import annotations

import asyncio
import io

import pytest
from middlewares import in_progress, timed, total

import shmetrics.django


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
