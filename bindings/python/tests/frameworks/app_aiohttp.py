"""The application of the framework tests in aiohttp."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus

import forty
import shmetrics.aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

forty.version("aiohttp")
logging.disable(logging.CRITICAL)
registry = forty.fresh_registry()


async def answer(request):
    return web.Response(text="x")


async def item(request):
    return web.Response(text="x", status=201 if request.method == "POST" else 200)


async def teapot(request):
    return web.Response(text="x", status=HTTPStatus.IM_A_TEAPOT)


async def denied(request):
    raise web.HTTPForbidden()


async def lost(request):
    return web.Response(status=404)


async def fails(request):
    raise RuntimeError("wanted")


async def stream(request):
    response = web.StreamResponse()
    await response.prepare(request)
    for piece in forty.pieces():
        await response.write(piece)
    await response.write_eof()
    return response


class Thing(web.View):
    async def get(self):
        return web.Response(text="x")

    async def put(self):
        return web.Response(text="x", status=HTTPStatus.ACCEPTED)


async def main():
    app, shop, eu = web.Application(), web.Application(), web.Application()
    eu.router.add_get("/orders/{id}", answer)
    shop.router.add_get("/", answer)
    shop.router.add_get("/carts/{id}", answer)
    shop.add_subapp("/eu", eu)
    app.add_subapp("/shop", shop)
    app.router.add_get(r"/items/{id:\d+}", item)
    app.router.add_post(r"/items/{id:\d+}", item)
    app.router.add_view("/things/{id}", Thing)
    app.router.add_get("/any/{path:.*}", answer)
    for path in ("/", "/users/{name}", "/health"):
        app.router.add_get(path, answer)
    for handler in (teapot, denied, lost, fails, stream):
        app.router.add_get("/" + handler.__name__, handler)
    shmetrics.aiohttp.instrument(app, "forty", registry=registry, **forty.OPTIONS)
    async with TestClient(TestServer(app)) as client:

        async def send(method, path):
            async with client.request(method, URL(path, encoded=True), allow_redirects=False) as response:
                await response.read()
            # The client has all of the answer a moment before the server's last step.
            for _ in range(1000):
                if forty._difference(registry, {})["in_progress"] in (0, None):
                    return
                await asyncio.sleep(0.002)

        await forty.report_later(registry, send)


asyncio.run(main())
