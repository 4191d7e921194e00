"""An aiohttp application that counts its requests with prometheus_client in a middleware: no line of it knows of shmetrics.

    shmetrics-run gunicorn -w 4 -k aiohttp.GunicornWebWorker aiohttp_app:app
"""

import asyncio
import time

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

APP_NAME = "shop"
REQUESTS = Counter("http_requests_total", "Requests answered.", ["app_name", "method", "endpoint", "http_status"])
LATENCY = Histogram("http_request_latency_seconds", "Time taken to answer.", ["app_name", "endpoint"])
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests being answered now.", ["app_name"], multiprocess_mode="livesum")


@web.middleware
async def count(request, handler):
    if request.path == "/metrics":
        return await handler(request)
    resource = request.match_info.route.resource
    endpoint = resource.canonical if resource else "none"
    started, status = time.perf_counter(), 500
    IN_PROGRESS.labels(APP_NAME).inc()
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    finally:
        REQUESTS.labels(APP_NAME, request.method, endpoint, status).inc()
        LATENCY.labels(APP_NAME, endpoint).observe(time.perf_counter() - started)
        IN_PROGRESS.labels(APP_NAME).dec()


async def index(_request):
    return web.Response(text="hello\n")


async def item(request):
    return web.Response(text=f"item {request.match_info['item']}\n")


async def slow(request):
    await asyncio.sleep(float(request.match_info["seconds"]))
    return web.Response(text="done\n")


async def metrics(_request):
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


app = web.Application(middlewares=[count])
app.router.add_get("/", index)
app.router.add_get("/items/{item}", item)
app.router.add_get("/slow/{seconds}", slow)
app.router.add_get("/metrics", metrics)
