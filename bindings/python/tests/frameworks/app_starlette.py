"""`app_starlette.py DIRECTORY starlette|fastapi [root]`"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus

import forty
import shmetrics.asgi
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

forty.version("starlette", "fastapi")
registry = forty.fresh_registry()


async def answer(request: Request):
    return PlainTextResponse("x")


async def item(request: Request):
    return PlainTextResponse("x", 201 if request.method == "POST" else 200)


async def teapot(request: Request):
    return PlainTextResponse("x", HTTPStatus.IM_A_TEAPOT)


async def denied(request: Request):
    raise HTTPException(403)


async def lost(request: Request):
    raise HTTPException(404)


async def fails(request: Request):
    raise RuntimeError("wanted")


async def stream(request: Request):
    return StreamingResponse(forty.pieces())


class Thing(HTTPEndpoint):
    async def get(self, request: Request):
        return PlainTextResponse("x")

    async def put(self, request: Request):
        return PlainTextResponse("x", HTTPStatus.ACCEPTED)


PLAIN = {"/": answer, "/users/{name}": answer, "/any/{path:path}": answer, "/health": answer}
PLAIN |= {"/teapot": teapot, "/denied": denied, "/lost": lost, "/fails": fails, "/stream": stream}

if sys.argv[2] == "starlette":
    shop = [Route("/", answer), Route("/carts/{id}", answer), Mount("/eu", routes=[Route("/orders/{id}", answer)])]
    routes = [Route(path, endpoint) for path, endpoint in PLAIN.items()]
    routes += [Route("/items/{id:int}", item, methods=["GET", "POST"]), Route("/things/{id}", Thing), Mount("/shop", routes=shop)]
    app = Starlette(routes=routes)
else:
    app = FastAPI()
    eu = APIRouter()
    eu.add_api_route("/orders/{id}", answer)
    # Included, and mounted, in turn.
    sub = FastAPI()
    sub.add_api_route("/", answer)
    carts = APIRouter(prefix="/carts")
    carts.add_api_route("/{id}", answer)
    sub.include_router(carts)
    sub.include_router(eu, prefix="/eu")
    app.mount("/shop", sub)
    for path, endpoint in PLAIN.items():
        app.add_api_route(path, endpoint, methods=["GET", "HEAD"] if path == "/" else ["GET"])
    app.add_api_route("/items/{id:int}", item, methods=["GET", "HEAD", "POST"])
    app.router.routes.append(Route("/things/{id}", Thing))

served = shmetrics.asgi.instrument(app, "forty", registry=registry, **forty.OPTIONS)
root = "/api" if "root" in sys.argv else ""
asyncio.run(forty.report_later(registry, lambda method, path: forty.asgi(served, method, path, root)))
