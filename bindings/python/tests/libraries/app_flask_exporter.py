"""An application that counts through prometheus-flask-exporter."""

from flask import Flask
from prometheus_flask_exporter.multiprocess import GunicornInternalPrometheusMetrics
from twice import twice

app = Flask(__name__)
metrics = GunicornInternalPrometheusMetrics(app, group_by="url_rule")
metrics.info("application", "About this application.", version="1.2")


@app.get("/items/<item>")
@metrics.gauge("items_in_progress", "Items being looked at.")
@metrics.counter("items", "Items looked at.", labels={"found": lambda: "yes"})
def item(item):
    return item


@app.get("/broken")
def broken():
    raise ValueError("broken")


def requests():
    client = app.test_client()
    assert client.get("/items/1").status_code == 200
    assert client.get("/items/2").status_code == 200
    assert client.get("/broken").status_code == 500
    assert client.get("/nothing").status_code == 404


twice(requests, lambda: app.test_client().get("/metrics").text)
