"""Templates of routes, which tests/frameworks looks at in many versions; here are the odd ways
of putting applications together.
"""

from __future__ import annotations

import pytest
from middlewares import call_asgi, in_progress, receive_nothing, total

import shmetrics.asgi

fastapi = pytest.importorskip("fastapi")

from fastapi import APIRouter, FastAPI  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.middleware.cors import CORSMiddleware  # noqa: E402
from starlette.responses import PlainTextResponse  # noqa: E402
from starlette.routing import Host, Mount, Route, Router  # noqa: E402
from starlette.staticfiles import StaticFiles  # noqa: E402


async def answer(request):
    return PlainTextResponse("x")


class TestStarlette:
    def app(self):
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
        app = self.app()
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
            call_asgi(served, root + path, receive=receive_nothing, root_path=root, query_string=b"")
            after = sum(total(registry, endpoint=endpoint, http_status=status) or 0 for status in ("200", "404"))
            assert after == before + 1, path
        call_asgi(served, root + "/h/1", receive=receive_nothing, root_path=root, headers=[(b"host", b"api.example.org")])
        assert total(registry, endpoint="/h/{x}") == 1
        call_asgi(served, root + "/plain/v1", receive=receive_nothing, root_path=root, method="PUT")
        assert total(registry, "PUT", "/plain/{name:str}", "405") == 1
        assert in_progress(registry) == 0

    @pytest.mark.parametrize("kind", ["Starlette", "FastAPI"])
    def test_a_request_is_matched_once(self, kind, registry, monkeypatch):
        """By the application's routers, below mounts as well; the middleware reads what they note."""
        matched = []
        for route_class in (Route, Mount, fastapi.routing.APIRoute):
            matches = route_class.__dict__.get("matches")
            if matches is not None:
                counting = lambda self, scope, matches=matches: matched.append(self.path) or matches(self, scope)  # noqa: E731
                monkeypatch.setattr(route_class, "matches", counting)

        if kind == "Starlette":
            users = Starlette(routes=[Route("/u/{i}", answer)])
            app = Starlette(routes=[Mount("/{tenant}/shop", users)])
        else:
            users, app = FastAPI(), FastAPI()
            users.add_api_route("/u/{i}", lambda i: i)
            app.mount("/{tenant}/shop", users)
        served = []
        for wrap in (lambda app: app, lambda app: shmetrics.asgi.Middleware(app, "shop", registry=registry)):
            matched.clear()
            assert call_asgi(wrap(app), "/a/shop/u/1", receive=receive_nothing, query_string=b"")[0]["status"] == 200
            served.append(list(matched))
        assert total(registry, endpoint="/{tenant}/shop/u/{i}") == 1
        assert served[0] == served[1] != []

    def test_routes_may_change(self, registry):
        """Routes that are added, replaced, or added once more, when requests were answered already."""
        sub = Starlette(routes=[Route("/a/{i}", answer)])
        app = Starlette(routes=[Mount("/sub", sub)])
        served = shmetrics.asgi.Middleware(app, "shop", registry=registry)

        def template(path):
            before = {s.labels["endpoint"]: s.value for f in registry.collect() for s in f.samples if s.name == "http_requests_total"}
            call_asgi(served, path, receive=receive_nothing)
            after = {s.labels["endpoint"]: s.value for f in registry.collect() for s in f.samples if s.name == "http_requests_total"}
            (found,) = [endpoint for endpoint, count in after.items() if count != before.get(endpoint, 0)]
            return found

        assert template("/sub/a/1") == "/sub/a/{i}"
        sub.routes[0] = Route("/b/{i}", answer)
        assert template("/sub/b/1") == "/sub/b/{i}"
        sub.routes.append(Route("/c/{i}", answer))
        assert [template("/sub/c/1"), template("/sub/b/1")] == ["/sub/c/{i}", "/sub/b/{i}"]
        app.routes.append(Mount("/again", sub))
        assert [template("/again/c/1"), template("/sub/c/1")] == ["/again/c/{i}", "/sub/c/{i}"]
        app.mount("/itself", app)
        assert template("/sub/c/1") == "/sub/c/{i}"

    def test_one_of_several_mounted_applications(self, registry):
        """A middleware within knows the routes of its own application, and says so."""
        for wrap in (shmetrics.asgi.instrument, shmetrics.asgi.Middleware):
            sub = Starlette(routes=[Route("/u/{i}", answer)])
            app = Starlette(routes=[Mount("/v1", app=wrap(sub, "shop", registry=registry)), Route("/u/{other}", answer)])
            before = total(registry, endpoint="/u/{i}") or 0
            call_asgi(app, "/v1/u/1", receive=receive_nothing)
            assert total(registry, endpoint="/u/{i}") == before + 1
            assert call_asgi(app, "/v1/metrics", receive=receive_nothing)[0]["status"] == 200

    def test_answers_of_other_middlewares(self, registry):
        """Also if a middleware refuses a request, the route is the one that has its path."""

        class Refuses:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                await PlainTextResponse("no", 401)(scope, receive, send)

        app = Starlette(routes=[Route("/u/{i}", lambda request: None)])
        app.add_middleware(Refuses)
        shmetrics.asgi.instrument(app, "shop", registry=registry)
        call_asgi(app, "/u/1", receive=receive_nothing)
        call_asgi(app, "/none", receive=receive_nothing)
        assert total(registry, endpoint="/u/{i}", http_status="401") == 1 and total(registry, http_status="401") == 1

    def test_paths_that_are_rewritten(self, registry):
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
            call_asgi(app, path, receive=receive_nothing)
        assert total(registry, endpoint="/new/{i}") == 2 and total(registry, endpoint="/sub/new/{i}") == 1
