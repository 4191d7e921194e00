"""An application that counts through django-prometheus."""

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import include, path
from twice import twice

settings.configure(
    ALLOWED_HOSTS=["testserver"],
    CACHES={"default": {"BACKEND": "django_prometheus.cache.backends.locmem.LocMemCache"}},
    DATABASES={"default": {"ENGINE": "django_prometheus.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django_prometheus"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
    PROMETHEUS_EXPORT_MIGRATIONS=False,
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
)


def item(request, item):
    from django.core.cache import cache
    from django.db import connection

    cache.get_or_set("item", item)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return HttpResponse(item)


urlpatterns = [path("items/<item>", item), path("", include("django_prometheus.urls"))]
django.setup()


def requests():
    from django.test import Client

    client = Client()
    assert client.get("/items/1").status_code == 200
    assert client.post("/items/2").status_code == 200
    assert client.get("/nothing").status_code == 404


def page():
    from django.test import Client

    return Client().get("/metrics").content.decode()


twice(requests, page)
