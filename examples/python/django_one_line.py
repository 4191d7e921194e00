"""A Django project in one file: metrics are one line of its settings.

    gunicorn -w 4 django_one_line:app           (WSGI)
    uvicorn --workers 4 django_one_line:asgi    (ASGI)
    python django_one_line.py runserver
"""

import sys
import time

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    # before all others, so that it counts what they answer
    MIDDLEWARE=["shmetrics.django.Middleware"],
    SHMETRICS={"app_name": "shop"},
)


def index(_request):
    return HttpResponse("hello\n")


def item(_request, item):
    return HttpResponse(f"item {item}\n")


def slow(_request, seconds):
    time.sleep(float(seconds))
    return HttpResponse("done\n")


items = [path("<int:item>", item)]
urlpatterns = [path("", index), path("items/", include(items)), path("slow/<str:seconds>", slow)]

app = get_wsgi_application()
asgi = get_asgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
