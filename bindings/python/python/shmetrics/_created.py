"""Whether OpenMetrics pages have ``_created`` samples. They are off by default, as each is a
further series for the scraper.
"""

from __future__ import annotations

import os

_wanted = os.environ.get("SHMETRICS_CREATED", "").lower() in ("1", "true", "t", "yes", "on")


def is_wanted() -> bool:
    return _wanted


def enable_created_metrics() -> None:
    """OpenMetrics pages have ``_created`` samples."""
    global _wanted
    _wanted = True


def disable_created_metrics() -> None:
    """OpenMetrics pages have no ``_created`` samples."""
    global _wanted
    _wanted = False
