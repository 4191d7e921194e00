"""One application for a server: below `/plain` as it is, below `/with` the same with its
middleware.

bytes_wsgi.py and bytes_asgi.py are for servers; `python bytes_app.py SERVER PORT` serves it where a
server has no command.
"""

from __future__ import annotations

import asyncio
import http
import io
import os
import sys
import tempfile
from wsgiref.util import shift_path_info

import shmetrics
import shmetrics.asgi
import shmetrics.flask
import shmetrics.wsgi

REGISTRY = shmetrics.CollectorRegistry(segment=shmetrics.Segment(anonymous=True))
OPTIONS = {"registry": REGISTRY, "path": None}
CONTENTS = bytes(range(256)) * 700  # more than the buffers of servers


def endless():
    """Until the client goes away."""
    while True:
        yield CONTENTS


def file():
    made = tempfile.TemporaryFile()
    made.write(CONTENTS)
    made.flush()
    made.seek(0)
    return made


class Closes:
    """How often bodies are closed is part of what a server does."""

    closed: dict = {}

    def __init__(self, name: str, pieces) -> None:
        self._name, self._pieces = name, pieces

    def __iter__(self):
        return iter(self._pieces)

    def close(self) -> None:
        self.closed[self._name] = self.closed.get(self._name, 0) + 1


class Sized(Closes):
    def __len__(self) -> int:
        return len(self._pieces)


def raw(environ, start_response):
    """WSGI, with all that it allows."""
    path, text = environ["PATH_INFO"], [("Content-Type", "text/plain")]
    if path == "/one":
        start_response("200 OK", text)
        return [b"one"]
    if path == "/tuple":
        start_response("201 Created", text)
        return (b"one", b"", b"two")
    if path == "/empty":
        start_response("200 OK", text)
        return []
    if path == "/length":
        start_response("200 OK", [*text, ("Content-Length", "6")])
        return [b"one", b"two"]
    if path in ("/204", "/304"):
        start_response(path[1:] + " " + http.HTTPStatus(int(path[1:])).phrase, [])
        return []
    if path == "/stream":
        start_response("200 OK", text)
        return (piece for piece in (b"", b"a", b"b"))
    if path == "/lazy":

        def lazily():
            start_response("202 Accepted", text)
            yield b"a"
            yield b"b"

        return lazily()
    if path == "/write":
        write = start_response("200 OK", text)
        write(b"written ")
        return [b"returned"]
    if path == "/twice":
        start_response("200 OK", text)
        try:
            raise RuntimeError("wanted")
        except RuntimeError:
            start_response("503 Service Unavailable", text, sys.exc_info())
        return [b"sorry"]
    if path == "/file":
        start_response("200 OK", [*text, ("Content-Length", str(len(CONTENTS)))])
        return environ.get("wsgi.file_wrapper", lambda f, size: iter(lambda: f.read(size), b""))(file(), 4096)
    if path == "/file-like":
        start_response("200 OK", text)
        return io.BytesIO(b"a\nb\n")
    if path in ("/closes", "/sized"):
        start_response("200 OK", text)
        return (Sized if path == "/sized" else Closes)(environ["SCRIPT_NAME"], [b"a"])
    if path == "/echo":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("200 OK", [*text, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return [body]
    if path == "/endless":
        start_response("200 OK", text)
        return endless()
    if path == "/fails":
        raise RuntimeError("wanted")
    if path == "/fails-in-a-stream":
        start_response("200 OK", text)
        return (b"a" if i == 0 else 1 / 0 for i in range(2))
    start_response("404 Not Found", text)
    return [b"none"]


async def raw_asgi(scope, receive, send):
    path = scope["path"][len(scope["root_path"]) :]

    async def start(status, *headers):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *headers]})

    async def body(body, more=False):
        await send({"type": "http.response.body", "body": body, "more_body": more})

    if path == "/one":
        await start(200, (b"content-length", b"3"))
        await body(b"one")
    elif path == "/no-length":
        await start(http.HTTPStatus.CREATED)
        await body(b"one")
    elif path == "/204":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await body(b"")
    elif path == "/stream":
        await start(200)
        for piece in (b"a", b"", CONTENTS, b"b"):
            await body(piece, True)
        await body(b"")
    elif path == "/background":
        await start(200, (b"content-length", b"1"))
        await body(b"a")
        await asyncio.sleep(0.01)
    elif path == "/echo":
        found, more = b"", True
        while more:
            message = await receive()
            found, more = found + message.get("body", b""), message.get("more_body")
        await start(200, (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-length", str(len(found)).encode()))
        await body(found)
    elif path == "/fails":
        raise RuntimeError("wanted")
    elif path == "/fails-in-a-stream":
        await start(200)
        await body(b"a", True)
        raise RuntimeError("wanted")
    elif path == "/nothing":
        pass
    else:
        await start(404, (b"content-length", b"4"))
        await body(b"none")


def make_flask():
    import flask

    app = flask.Flask("bytes", static_folder=None)
    app.add_url_rule("/<name>", "name", lambda name: name)
    app.add_url_rule("/file", "file", lambda: flask.send_file(file(), mimetype="text/plain"))
    app.add_url_rule("/stream", "stream", lambda: flask.Response(piece for piece in ("a", "b")))
    app.add_url_rule("/fails", "fails", lambda: 1 / 0)
    app.logger.disabled = True
    return app


def make_fastapi():
    from fastapi import FastAPI
    from starlette.background import BackgroundTask
    from starlette.responses import FileResponse, JSONResponse, StreamingResponse

    app = FastAPI()
    app.add_api_route("/file", lambda: FileResponse(NAMED), methods=["GET", "HEAD"])
    app.add_api_route("/stream", lambda: StreamingResponse(iter(["a", "b"])))
    app.add_api_route("/endless", lambda: StreamingResponse(endless()))
    app.add_api_route("/background", lambda: JSONResponse("a", background=BackgroundTask(asyncio.sleep, 0.01)))
    app.add_api_route("/fails", lambda: 1 / 0)
    app.add_api_route("/{name}", lambda name: name)
    return app


def make_django(how, with_middleware: bool):
    import logging

    import django
    from django.conf import settings
    from django.http import FileResponse, HttpResponse, StreamingHttpResponse
    from django.urls import path

    logging.disable(logging.CRITICAL)
    global urlpatterns
    urlpatterns = [
        path("file", lambda request: FileResponse(open(NAMED, "rb"), content_type="text/plain")),
        path("stream", lambda request: StreamingHttpResponse(piece for piece in ("a", "b"))),
        path("fails", lambda request: 1 / 0),
        path("<name>", lambda request, name: HttpResponse(name)),
    ]
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="test", SHMETRICS={"app_name": "django", **OPTIONS})
        django.setup()
    settings.MIDDLEWARE = ["shmetrics.django.Middleware"] if with_middleware else []
    return how()


def page(environ, start_response):
    headers = [("Content-Type", "text/plain"), ("X-Closed", repr(sorted(Closes.closed.items())))]
    body = shmetrics.generate_latest(REGISTRY)
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]


NAMED = os.path.join(tempfile.gettempdir(), "bytes-%d" % os.getpid())
with open(NAMED, "wb") as _f:
    _f.write(CONTENTS)
os.utime(NAMED, (1e9, 1e9))


def wsgi():
    from django.core.wsgi import get_wsgi_application

    apps = {
        "plain": {"raw": raw, "flask": make_flask(), "django": make_django(get_wsgi_application, False)},
        "with": {
            "raw": shmetrics.wsgi.instrument(raw, "raw", **OPTIONS),
            "flask": shmetrics.flask.instrument(make_flask(), "flask", **OPTIONS),
            "django": make_django(get_wsgi_application, True),
        },
    }

    def app(environ, start_response):
        first = shift_path_info(environ)
        if first not in apps:
            return page(environ, start_response)
        return apps[first][shift_path_info(environ)](environ, start_response)

    return app


def make_asgi():
    from django.core.asgi import get_asgi_application

    apps = {
        "plain": {"raw": raw_asgi, "fastapi": make_fastapi(), "django": make_django(get_asgi_application, False)},
        "with": {
            "raw": shmetrics.asgi.instrument(raw_asgi, "raw", **OPTIONS),
            "fastapi": shmetrics.asgi.instrument(make_fastapi(), "fastapi", **OPTIONS),
            "django": make_django(get_asgi_application, True),
        },
    }
    serve_page = shmetrics.make_asgi_app(REGISTRY)

    async def asgi(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        first, second = scope["path"].split("/")[1:3] if scope["path"].count("/") > 2 else ("", "")
        if first not in apps:
            await serve_page(scope, receive, send)
            return
        await apps[first][second](dict(scope, root_path="/%s/%s" % (first, second)), receive, send)

    return asgi


def make_aiohttp():
    from aiohttp import web

    async def name(request):
        return web.Response(text=request.match_info["name"])

    async def serve_file(request):
        return web.FileResponse(NAMED)

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a")
        await response.write(b"b")
        return response

    async def forever(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in endless():
            await response.write(piece)

    async def fails(request):
        raise RuntimeError("wanted")

    async def echo(request):
        return web.Response(body=await request.read())

    async def denied(request):
        raise web.HTTPForbidden

    app = web.Application()
    app.router.add_post("/echo", echo)
    for path, handler in {"/file": serve_file, "/stream": stream, "/endless": forever, "/fails": fails, "/denied": denied, "/{name}": name}.items():
        app.router.add_get(path, handler)
    return app


def aiohttp():
    import logging

    import shmetrics.aiohttp
    from aiohttp import web

    logging.disable(logging.CRITICAL)
    app, with_middleware = web.Application(), make_aiohttp()
    app.add_subapp("/plain/aiohttp", make_aiohttp())
    shmetrics.aiohttp.instrument(with_middleware, "aiohttp", **OPTIONS)
    app.add_subapp("/with/aiohttp", with_middleware)
    app.router.add_get("/{tail:.*}", shmetrics.aiohttp.make_handler(REGISTRY))
    return app


def main(server: str, port: int) -> None:
    if server == "wsgiref":
        from wsgiref.simple_server import WSGIRequestHandler, make_server

        WSGIRequestHandler.log_message = lambda *_: None  # type: ignore[method-assign]
        make_server("127.0.0.1", port, wsgi()).serve_forever()
    elif server == "waitress":
        import waitress

        waitress.serve(wsgi(), host="127.0.0.1", port=port, _quiet=True)
    elif server == "cheroot":
        from cheroot.wsgi import Server

        Server(("127.0.0.1", port), wsgi()).safe_start()
    elif server == "gevent":
        from gevent.pywsgi import WSGIServer

        WSGIServer(("127.0.0.1", port), wsgi(), log=None, error_log=None).serve_forever()
    elif server == "aiohttp":
        from aiohttp import web

        web.run_app(aiohttp(), host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
