"""A FastAPI application: metrics are one line.

    uvicorn --workers 4 asgi_one_line:app
"""

import asyncio

import shmetrics.asgi
from fastapi import FastAPI, Response

app = FastAPI()
app.add_middleware(shmetrics.asgi.Middleware, app_name="shop")


@app.get("/")
async def index():
    return Response("hello\n")


@app.get("/items/{item}")
async def item(item: int):
    return Response(f"item {item}\n")


@app.get("/slow/{seconds}")
async def slow(seconds: float):
    await asyncio.sleep(seconds)
    return Response("done\n")
