"""The page as a resource of Twisted."""

from __future__ import annotations

from typing import Any

from .._page import make_wsgi_app
from ..registry import REGISTRY


def MetricsResource(registry: Any = REGISTRY) -> Any:
    """A resource that serves the page from the reactor's threads."""
    from twisted.internet import reactor
    from twisted.web.wsgi import WSGIResource

    pool: Any = reactor
    return WSGIResource(reactor, pool.getThreadPool(), make_wsgi_app(registry))


__all__ = ["MetricsResource"]
