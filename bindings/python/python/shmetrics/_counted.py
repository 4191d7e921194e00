"""Which metrics of a registry count into the segment, and so are on its page already."""

from __future__ import annotations

from typing import Any

from ._native import Segment


def is_native_of(collector: Any, segment: Any) -> bool:
    """Whether it is a metric of the native API in this segment."""
    own = getattr(collector, "_segment", None)
    return isinstance(own, Segment) and own.path is not None and own.path == segment.path


def counts_into_segment(collector: Any) -> bool:
    """Whether it is a metric of prometheus_client whose values are in the segment."""
    if hasattr(collector, "_shmetrics"):
        return True
    children = getattr(collector, "_metrics", None)
    if not isinstance(children, dict) or not hasattr(collector, "_metric_init"):
        return False
    # If the family was refused, the children are in process memory.
    return not children or any(hasattr(child, "_shmetrics") for child in list(children.values()))
