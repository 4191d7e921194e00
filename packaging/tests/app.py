"""An application as prometheus_client's documentation has it: nothing in it knows of shmetrics."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

REQUESTS = Counter("shop_requests", "Requests.")


def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
        return [generate_latest(registry)]
    REQUESTS.inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello\n"]
