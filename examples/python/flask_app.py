"""A Flask application that counts its requests with prometheus_client, as many do: no line of it knows of shmetrics.

    shmetrics-run gunicorn -w 4 flask_app:app
"""

import time

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

APP_NAME = "shop"
REQUESTS = Counter("http_requests_total", "Requests answered.", ["app_name", "method", "endpoint", "http_status"])
LATENCY = Histogram("http_request_latency_seconds", "Time taken to answer.", ["app_name", "endpoint"])
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests being answered now.", ["app_name"], multiprocess_mode="livesum")

app = Flask(__name__)


@app.before_request
def start():
    if request.path != "/metrics":
        g.started = time.perf_counter()
        IN_PROGRESS.labels(APP_NAME).inc()


@app.after_request
def count(response):
    if "started" in g:
        # never the path itself: clients can invent paths
        endpoint = request.url_rule.rule if request.url_rule else "none"
        REQUESTS.labels(APP_NAME, request.method, endpoint, response.status_code).inc()
        LATENCY.labels(APP_NAME, endpoint).observe(time.perf_counter() - g.started)
    return response


@app.teardown_request
def finish(_error):
    if "started" in g:
        IN_PROGRESS.labels(APP_NAME).dec()


@app.get("/")
def index():
    return "hello\n"


@app.get("/items/<int:item>")
def item(item):
    return f"item {item}\n"


@app.get("/slow/<float:seconds>")
def slow(seconds):
    time.sleep(seconds)
    return "done\n"


@app.get("/metrics")
def metrics():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)
