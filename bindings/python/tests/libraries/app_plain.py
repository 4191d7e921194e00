"""An application that counts through prometheus_client alone."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from twice import twice

REQUESTS = Counter("requests_total", "Requests.", ["path"], namespace="shop", subsystem="web")
PLAIN = Counter("plain", "Without labels.")
SIZES = Histogram("sizes_bytes", "Sizes.", ["kind"], buckets=(1, 10, 100))
TIMES = Summary("waits", "Waits.", unit="seconds")
GAUGES = [
    Gauge(f"gauge_{mode}", f"A gauge, {mode}.", multiprocess_mode=mode)
    for mode in ("all", "min", "max", "sum", "mostrecent")
]
LABELLED = Gauge("labelled", 'Escapes: \\ " \n.', ["path"], multiprocess_mode="max")


def requests():
    REQUESTS.labels("/").inc()
    REQUESTS.labels(path='a"b\\c\nd').inc(2.5)
    PLAIN.inc()
    for size in (0.5, 10, 1e6):
        SIZES.labels("x").observe(size)
    TIMES.observe(0.25)
    for gauge in GAUGES:
        gauge.set(3)
    LABELLED.labels("ü").set(-1.5)


def page():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry).decode()


twice(requests, page)
