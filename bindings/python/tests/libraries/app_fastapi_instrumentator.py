"""An application that counts through prometheus-fastapi-instrumentator."""

from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_fastapi_instrumentator import Instrumentator
from twice import twice

app = FastAPI()
Instrumentator(should_instrument_requests_inprogress=True, inprogress_labels=True).instrument(app).expose(app)


@app.get("/items/{item}")
def item(item: int):
    return item


@app.get("/in-progress")
def in_progress():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return registry.get_sample_value("http_requests_inprogress", {"handler": "/in-progress", "method": "GET"})


def requests():
    client = TestClient(app)
    assert client.get("/in-progress").json() == 1
    assert client.get("/items/1").status_code == 200
    assert client.get("/items/2").status_code == 200
    assert client.get("/items/x").status_code == 422
    assert client.get("/nothing").status_code == 404


twice(requests, lambda: TestClient(app).get("/metrics").text)
