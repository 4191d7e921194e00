"""Which names are allowed: any UTF-8, or on request only those of Prometheus 2."""

from __future__ import annotations

import os

from ._native import set_legacy_validation
from ._names import is_label, is_metric

_legacy = False


def get_legacy_validation() -> bool:
    """Whether names of metrics and labels have to be plain."""
    return _legacy


def disable_legacy_validation() -> None:
    """Allows all of UTF-8 in names."""
    _set(False)


def enable_legacy_validation() -> None:
    """Allows only ``[a-zA-Z_:][a-zA-Z0-9_:]*`` in names, without the colon in those of labels."""
    _set(True)


def _set(legacy: bool) -> None:
    global _legacy
    _legacy = legacy
    set_legacy_validation(legacy)


def _validate_metric_name(name: str) -> None:
    if not name:
        raise ValueError("metric name cannot be empty")
    if _legacy and not is_metric(name):
        raise ValueError("invalid metric name " + name)


_set(os.environ.get("PROMETHEUS_LEGACY_NAME_VALIDATION", "").lower() in ("true", "1", "t"))

__all__ = ["disable_legacy_validation", "enable_legacy_validation", "get_legacy_validation", "is_label", "is_metric"]
