"""What is on a page already, as it counts into the segment."""

from __future__ import annotations

from typing import Any

from ._native import Segment


def is_native_of(collector: Any, segment: Any) -> bool:
    """Whether it is a metric of this package's own, in this segment."""
    own = getattr(collector, "_segment", None)
    return isinstance(own, Segment) and own.path is not None and own.path == segment.path


def counts_into_segment(collector: Any) -> bool:
    """Whether it is a metric of prometheus_client whose values are in the segment."""
    if hasattr(collector, "_shmetrics"):
        return True
    children = getattr(collector, "_metrics", None)
    if not isinstance(children, dict) or not hasattr(collector, "_metric_init"):
        return False
    # Of one whose family is refused the children are this process' own.
    return not children or any(hasattr(child, "_shmetrics") for child in list(children.values()))
