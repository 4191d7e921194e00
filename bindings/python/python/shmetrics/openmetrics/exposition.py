"""Pages in OpenMetrics."""

from __future__ import annotations

from typing import Any

from .. import _created, _names, _page
from .._names import ALLOWUTF8, DOTS, UNDERSCORES, VALUES
from .._native import Exposition
from ..utils import parse_version

CONTENT_TYPE_LATEST = "application/openmetrics-text; version=1.0.0; charset=utf-8"
CONTENT_TYPE_LATEST_2_0 = "application/openmetrics-text; version=2.0.0; charset=utf-8"
ESCAPING_HEADER_TAG = "escaping"


def generate_latest(registry: Any, escaping: str = UNDERSCORES, version: str = "1.0.0") -> bytes:
    """The page in OpenMetrics of this version."""
    numbers = parse_version(version)
    if isinstance(numbers[0], int) and numbers[0] >= 2:
        accept = "application/openmetrics-text;version=2.0.0;escaping=" + escaping
        return _page.render(Exposition(accept, created=_created.is_wanted()), registry)
    return _page.generate_latest(registry, escaping, openmetrics=True)


def escape_metric_name(s: str, escaping: str = UNDERSCORES) -> str:
    """The name of a metric as a line has it."""
    return _names.quoted(_names.metric(s, escaping), escaping != ALLOWUTF8 or not s or _names.is_metric(s))


def escape_label_name(s: str, escaping: str = UNDERSCORES) -> str:
    """The name of a label as a line has it."""
    return _names.quoted(_names.label(s, escaping), escaping != ALLOWUTF8 or not s or _names.is_label(s))


__all__ = [
    "ALLOWUTF8",
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_LATEST_2_0",
    "DOTS",
    "ESCAPING_HEADER_TAG",
    "UNDERSCORES",
    "VALUES",
    "escape_label_name",
    "escape_metric_name",
    "generate_latest",
]
