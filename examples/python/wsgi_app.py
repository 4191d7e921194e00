"""A plain WSGI application with prometheus_client, and a gauge of the requests in progress: no line of it knows of shmetrics.

    shmetrics-run gunicorn -w 4 wsgi_app:app
    shmetrics-run uwsgi --http-socket 127.0.0.1:8000 --master --processes 4 --module wsgi_app:app
"""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app, multiprocess

APP_NAME = "shop"
REQUESTS = Counter("http_requests_total", "Requests answered.", ["app_name", "method", "endpoint", "http_status"])
LATENCY = Histogram("http_request_latency_seconds", "Time taken to answer.", ["app_name", "endpoint"])
IN_PROGRESS = Gauge("http_requests_in_progress", "Requests being answered now.", ["app_name"], multiprocess_mode="livesum")

registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
metrics = make_wsgi_app(registry)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/metrics":
        return metrics(environ, start_response)
    started = time.perf_counter()
    with IN_PROGRESS.labels(APP_NAME).track_inprogress():
        endpoint, status, body = answer(path)
    REQUESTS.labels(APP_NAME, environ["REQUEST_METHOD"], endpoint, status[:3]).inc()
    LATENCY.labels(APP_NAME, endpoint).observe(time.perf_counter() - started)
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def answer(path):
    """The route, the status and the body."""
    first, _, rest = path[1:].partition("/")
    if path == "/":
        return "/", "200 OK", b"hello\n"
    if first == "items":
        return "/items/<item>", "200 OK", f"item {rest}\n".encode()
    if first == "slow":
        time.sleep(float(rest))
        return "/slow/<seconds>", "200 OK", b"done\n"
    return "none", "404 Not Found", b"there is no such page\n"
