"""A FastAPI application that counts its requests with prometheus_client in a middleware: no line of it knows of shmetrics.

    shmetrics-run uvicorn --workers 4 asgi_app:app
"""

import asyncio
import time

from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

APP_NAME = "shop"
REQUESTS = Counter("http_requests_total", "Requests answered.", ["app_name", "method", "endpoint", "http_status"])
LATENCY = Histogram("http_request_latency_seconds", "Time taken to answer.", ["app_name", "endpoint"])
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests being answered now.", ["app_name"], multiprocess_mode="livesum")

app = FastAPI()


@app.middleware("http")
async def count(request: Request, call_next):
    if request.url.path == "/metrics":
        return await call_next(request)
    started, status = time.perf_counter(), 500
    IN_PROGRESS.labels(APP_NAME).inc()
    try:
        response = await call_next(request)
        status = response.status_code
        return response
    finally:
        route = request.scope.get("route")
        endpoint = route.path if route else "none"
        REQUESTS.labels(APP_NAME, request.method, endpoint, status).inc()
        LATENCY.labels(APP_NAME, endpoint).observe(time.perf_counter() - started)
        IN_PROGRESS.labels(APP_NAME).dec()


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


@app.get("/metrics")
def metrics():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
