"""`app_django.py DIRECTORY wsgi|asgi`"""

from __future__ import annotations

import asyncio
import logging
import sys
from http import HTTPStatus

import forty
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.exceptions import PermissionDenied
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path
from django.views import View
from django.views.decorators.http import require_http_methods

forty.version("django")
logging.disable(logging.CRITICAL)
registry = forty.fresh_registry()
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="test",
    USE_I18N=False,
    MIDDLEWARE=["shmetrics.django.Middleware", "django.middleware.common.CommonMiddleware"],
    SHMETRICS={"app_name": "forty", "registry": registry, **forty.OPTIONS},
)


@require_http_methods(["GET", "HEAD"])
def answer(request, **_):
    return HttpResponse("x")


@require_http_methods(["GET", "HEAD", "POST"])
def item(request, id):
    return HttpResponse("x", status=201 if request.method == "POST" else 200)


def teapot(request):
    return HttpResponse("x", status=HTTPStatus.IM_A_TEAPOT)


def denied(request):
    raise PermissionDenied


async def lost(request):
    raise Http404


def fails(request):
    raise RuntimeError("wanted")


def stream(request):
    return StreamingHttpResponse(forty.pieces())


class Thing(View):
    def get(self, request, id):
        return HttpResponse("x")

    def put(self, request, id):
        return HttpResponse("x", status=HTTPStatus.ACCEPTED)


orders = ([path("orders/<id>", answer, name="order")], "orders")
shop = [path("", answer), path("carts/<id>", answer), path("eu/", include(orders, namespace="eu"))]
urlpatterns = [
    path("", answer),
    path("items/<int:id>", item),
    path("users/<name>", answer),
    path("shop/", include(shop)),
    path("things/<id>", Thing.as_view()),
    path("any/<path:path>", answer),
    path("health", answer),
    re_path("^old/(?P<id>[0-9]+)$", answer),
]
urlpatterns += [path(view.__name__, view) for view in (teapot, denied, lost, fails, stream)]

if sys.argv[2] == "wsgi":
    app = get_wsgi_application()
    forty.report(registry, lambda method, path: forty.wsgi(app, method, path))
else:
    served = get_asgi_application()
    asyncio.run(forty.report_later(registry, lambda method, path: forty.asgi(served, method, path)))
