"""The same as aiohttp_app.py: metrics are one line.

    gunicorn -w 4 -k aiohttp.GunicornWebWorker aiohttp_one_line:app
"""

import asyncio

import shmetrics.aiohttp
from aiohttp import web


async def index(_request):
    return web.Response(text="hello\n")


async def item(request):
    return web.Response(text=f"item {request.match_info['item']}\n")


async def slow(request):
    await asyncio.sleep(float(request.match_info["seconds"]))
    return web.Response(text="done\n")


app = web.Application()
app.router.add_get("/", index)
app.router.add_get("/items/{item}", item)
app.router.add_get("/slow/{seconds}", slow)
shmetrics.aiohttp.instrument(app, app_name="shop")
