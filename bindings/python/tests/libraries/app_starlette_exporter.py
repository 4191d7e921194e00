"""An application that counts through starlette-exporter."""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette_exporter import PrometheusMiddleware, handle_metrics
from twice import twice


def item(request):
    return PlainTextResponse(request.path_params["item"])


app = Starlette(routes=[Route("/items/{item}", item), Route("/metrics", handle_metrics)])
app.add_middleware(PrometheusMiddleware, app_name="shop", group_paths=True, skip_paths=["/metrics"])


def requests():
    client = TestClient(app)
    assert client.get("/items/1").status_code == 200
    assert client.get("/items/2").status_code == 200
    assert client.get("/nothing").status_code == 404


twice(requests, lambda: TestClient(app).get("/metrics").text)
