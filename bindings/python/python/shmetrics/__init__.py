"""Prometheus metrics for prefork servers, in shared memory."""

from __future__ import annotations

from ._functions import refresh
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
from ._segment import SegmentWarning, configure

__all__ = [
    "Counter",
    "Enum",
    "Exposition",
    "Gauge",
    "Histogram",
    "Info",
    "Segment",
    "SegmentWarning",
    "Summary",
    "configure",
    "refresh",
    "__version__",
]
