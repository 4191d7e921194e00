"""Prometheus metrics for prefork servers, in shared memory.

``from shmetrics import Counter, Gauge, Histogram, Summary, Info, Enum`` instead of ``from prometheus_client import ...``: the same
signatures, one total for all processes, no directory and no hooks.

(PYTEST_DONT_REWRITE)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _decorate, multiprocess  # noqa: F401 (what native code calls is there before it does)
from ._created import disable_created_metrics, enable_created_metrics
from ._functions import refresh
from ._metric import Metric, Sample
from ._native import (
    Counter,
    Enum,
    Exposition,
    Gauge,
    Histogram,
    Info,
    Segment,
    Summary,
    __version__,
)
from ._page import (
    CONTENT_TYPE_LATEST,
    CONTENT_TYPE_PLAIN_0_0_4,
    CONTENT_TYPE_PLAIN_1_0_0,
    choose_encoder,
    generate_latest,
    make_asgi_app,
    make_wsgi_app,
    negotiated,
)
from ._segment import SegmentWarning, configure
from .registry import REGISTRY, CollectorRegistry

if TYPE_CHECKING:
    from .exposition import MetricsHandler, start_http_server, start_wsgi_server, write_to_textfile

# These bring Python's HTTP server, and come when they are asked for.
_LATER = ("MetricsHandler", "start_http_server", "start_wsgi_server", "write_to_textfile")

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "CollectorRegistry",
    "Counter",
    "Enum",
    "Exposition",
    "Gauge",
    "Histogram",
    "Info",
    "Metric",
    "MetricsHandler",
    "REGISTRY",
    "Sample",
    "Segment",
    "SegmentWarning",
    "Summary",
    "__version__",
    "choose_encoder",
    "configure",
    "disable_created_metrics",
    "enable_created_metrics",
    "generate_latest",
    "make_asgi_app",
    "make_wsgi_app",
    "multiprocess",
    "negotiated",
    "refresh",
    "start_http_server",
    "start_wsgi_server",
    "write_to_textfile",
]


def __getattr__(name: str) -> object:
    if name in _LATER:
        from . import exposition

        return getattr(exposition, name)
    raise AttributeError("module 'shmetrics' has no attribute %r" % name)
