"""Prometheus metrics for prefork servers, in shared memory.

``from shmetrics import Counter, Gauge, Histogram, Summary, Info, Enum`` instead of ``from
prometheus_client import ...``: the same signatures, one total for all processes, no directory and
no hooks.

(PYTEST_DONT_REWRITE)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, List

from . import _decorate, multiprocess  # noqa: F401 (what native code calls is there before it does)
from ._buckets import exponential_buckets, linear_buckets
from ._created import disable_created_metrics, enable_created_metrics
from ._functions import refresh
from ._native import (
    Bundle,
    BundleEntry,
    BundleMember,
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
    render_for,
)
from ._segment import SegmentWarning, configure
from .metrics_core import Metric
from .registry import REGISTRY, CollectorRegistry
from .samples import Sample

if TYPE_CHECKING:
    from . import (
        asgi,
        context_managers,
        core,
        exposition,
        gc_collector,
        metrics,
        metrics_core,
        openmetrics,
        platform_collector,
        process_collector,
        registry,
        utils,
    )
    from .exposition import (
        MetricsHandler,
        delete_from_gateway,
        instance_ip_grouping_key,
        push_to_gateway,
        pushadd_to_gateway,
        start_http_server,
        start_wsgi_server,
        write_to_textfile,
    )
    from .gc_collector import GC_COLLECTOR, GCCollector
    from .platform_collector import PLATFORM_COLLECTOR, PlatformCollector
    from .process_collector import PROCESS_COLLECTOR, ProcessCollector

# Modules that few need, or that import Python's HTTP server: they are imported on demand.
_LATER = {
    "exposition": (
        "MetricsHandler",
        "delete_from_gateway",
        "instance_ip_grouping_key",
        "push_to_gateway",
        "pushadd_to_gateway",
        "start_http_server",
        "start_wsgi_server",
        "write_to_textfile",
    ),
    "gc_collector": ("GCCollector", "GC_COLLECTOR"),
    "platform_collector": ("PLATFORM_COLLECTOR", "PlatformCollector"),
    "process_collector": ("PROCESS_COLLECTOR", "ProcessCollector"),
    "asgi": (),
    "context_managers": (),
    "core": (),
    "metrics": (),
    "openmetrics": (),
    "utils": (),
}

__all__ = [
    "Bundle",
    "BundleEntry",
    "BundleMember",
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "CollectorRegistry",
    "Counter",
    "Enum",
    "Exposition",
    "GCCollector",
    "GC_COLLECTOR",
    "Gauge",
    "Histogram",
    "Info",
    "Metric",
    "MetricsHandler",
    "PLATFORM_COLLECTOR",
    "PROCESS_COLLECTOR",
    "PlatformCollector",
    "ProcessCollector",
    "REGISTRY",
    "Sample",
    "Segment",
    "SegmentWarning",
    "Summary",
    "__version__",
    "choose_encoder",
    "configure",
    "delete_from_gateway",
    "disable_created_metrics",
    "enable_created_metrics",
    "exponential_buckets",
    "generate_latest",
    "instance_ip_grouping_key",
    "linear_buckets",
    "make_asgi_app",
    "make_wsgi_app",
    "multiprocess",
    "render_for",
    "push_to_gateway",
    "pushadd_to_gateway",
    "refresh",
    "start_http_server",
    "start_wsgi_server",
    "write_to_textfile",
]


def __getattr__(name: str) -> Any:
    for module, names in _LATER.items():
        if name == module:
            return importlib.import_module("." + module, __name__)
        if name in names:
            return getattr(importlib.import_module("." + module, __name__), name)
    raise AttributeError("module 'shmetrics' has no attribute %r" % name)


def __dir__() -> "List[str]":
    return sorted({*globals(), *__all__, *_LATER})
