"""Metrics of a Django project's requests: ``shmetrics.django.Middleware``, first in ``MIDDLEWARE``,
and the page at /metrics.
"""

from __future__ import annotations

from typing import Any, Callable, List, Optional, Tuple

from ._http import FAILED, GONE, Request, RequestMetrics
from ._page import Registry, respond, respond_async
from .registry import REGISTRY


class Middleware:
    """Counts requests, and serves the page at ``path`` (``None``: no page). It works under WSGI and
    ASGI.

    The setting ``SHMETRICS``, a dictionary, has the options of ``RequestMetrics``: see
    docs/python.md. ``endpoint`` is the route with the prefixes of all ``include()``s, such as
    ``/shop/items/<int:pk>/``.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        from asgiref.sync import iscoroutinefunction, markcoroutinefunction
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured

        self._get_response = get_response
        try:
            self._metrics = RequestMetrics(**getattr(settings, "SHMETRICS", {}))
        except (TypeError, ValueError) as error:
            raise ImproperlyConfigured("SHMETRICS: %s" % error) from error
        self._metrics.endpoint = self._metrics.endpoint or _route
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any:
        if request.path_info == self._metrics.path:
            return self._serve_async(request) if self._is_async else _page(request, respond(*_page_arguments(request, self._metrics.registry)))
        if self._metrics.excludes(request.path_info):
            return self._get_response(request)
        of = self._metrics.begin(request.method, request)
        if self._is_async:
            return self._respond_async(request, of)
        try:
            return _count(of, self._get_response(request))
        except BaseException:
            of.end(FAILED)
            raise

    async def _serve_async(self, request: Any) -> Any:
        return _page(request, await respond_async(*_page_arguments(request, self._metrics.registry)))

    async def _respond_async(self, request: Any, of: Request) -> Any:
        try:
            return _count(of, await self._get_response(request))
        except Exception:
            of.end(FAILED)
            raise
        except BaseException:
            of.end(GONE)  # it is cancelled
            raise


def metrics(request: Any) -> Any:
    """A view that serves the page, for a project's URLs. Set ``path`` to ``None`` then."""
    return _page(request, respond(*_page_arguments(request, REGISTRY)))


def __getattr__(name: str) -> Any:
    """``PrometheusDjangoView`` is the name of prometheus_client's view. Its base class is Django's,
    so it is created on demand.
    """
    if name != "PrometheusDjangoView":
        raise AttributeError(name)
    from django.http import HttpResponse
    from django.views import View

    class PrometheusDjangoView(View):  # type: ignore[misc]
        """Serves the page of all processes, or of ``registry``."""

        __qualname__ = "PrometheusDjangoView"
        multiprocess_mode: bool = False  # without meaning here
        registry: Any = None

        def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            registry = REGISTRY if self.registry is None else self.registry
            return _page(request, respond(*_page_arguments(request, registry)))

        def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            return HttpResponse(status=200, headers={"Allow": "OPTIONS,GET"})

    return globals().setdefault(name, PrometheusDjangoView)


class _End:
    """Ends a request when its response is closed. The copy of a response in a cache ends nothing.
    """

    def __init__(self, of: "Optional[Request]" = None) -> None:
        self._of = of

    def __call__(self) -> None:
        if self._of is not None:
            self._of.end()

    def __reduce__(self) -> Any:
        return _End, ()


def _count(of: Request, response: Any) -> Any:
    of.answer(response.status_code)
    # Handlers close a response when its body has been sent.
    response._resource_closers.append(_End(of))
    return response


def _page_arguments(request: Any, registry: Registry) -> "Tuple[Registry, str, str, str, str]":
    header = request.META.get
    return registry, request.method, header("HTTP_ACCEPT", ""), header("HTTP_ACCEPT_ENCODING", ""), header("QUERY_STRING", "")


def _page(request: Any, answer: "Tuple[int, List[Tuple[str, str]], bytes]") -> Any:
    from django.http import HttpResponse

    status, headers, body = answer
    response = HttpResponse(b"" if request.method == "HEAD" else body, status=status)
    for name, value in headers:
        response[name] = value
    response["Content-Length"] = str(len(body))
    return response


def _route(request: Any) -> Optional[str]:
    from django.urls import Resolver404, resolve

    match = getattr(request, "resolver_match", None)
    if match is None:
        # Another middleware has answered, or no route matches.
        try:
            match = resolve(request.path_info, getattr(request, "urlconf", None))
        except Resolver404:
            return None
    route = str(match.route)
    return "/" + (route[1:] if route.startswith("^") else route)
