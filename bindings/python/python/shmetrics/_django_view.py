"""The page as a class-based view of Django. Imported when it is asked for, as it needs Django."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.views import View

from ._page import respond
from .django import _asks, _page
from .registry import REGISTRY


class PrometheusDjangoView(View):  # type: ignore[misc]
    """Serves the page of all processes, or of ``registry``."""

    multiprocess_mode: bool = False  # without meaning here
    registry: Any = None

    def get(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        registry = REGISTRY if self.registry is None else self.registry
        return _page(request, respond(*_asks(request, registry)))

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return HttpResponse(status=200, headers={"Allow": "OPTIONS,GET"})
