"""Metrics of aiohttp applications."""

from __future__ import annotations

import asyncio
import gc

import pytest
from middlewares import in_progress, timed, total

import shmetrics.aiohttp


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
        app.router.add_static("/static", tmp_path)
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
            for path, endpoint in {"/late": "/late", "/denied": "/denied", "/static/none": "/static"}.items():
                async with client.get(path) as response:
                    assert total(registry, endpoint=endpoint, http_status=str(response.status)) == 1

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
