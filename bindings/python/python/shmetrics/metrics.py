"""The classes of metrics, in the module where prometheus_client has them."""

from __future__ import annotations

from abc import ABC

from ._created import disable_created_metrics, enable_created_metrics
from ._native import Counter, Enum, Gauge, Histogram, Info, Summary


class MetricWrapperBase(ABC):
    """All metrics are instances of this class. It is not their base class, as they are native."""


for _class in (Counter, Enum, Gauge, Histogram, Info, Summary):
    MetricWrapperBase.register(_class)

__all__ = [
    "Counter",
    "Enum",
    "Gauge",
    "Histogram",
    "Info",
    "MetricWrapperBase",
    "Summary",
    "disable_created_metrics",
    "enable_created_metrics",
]
