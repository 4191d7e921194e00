"""Functions that are left to prometheus_client."""

from __future__ import annotations

import importlib
from typing import Any, List


def import_names(module: str, *names: str) -> "List[Any]":
    """Names of a module of prometheus_client."""
    try:
        of = importlib.import_module(module)
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        raise ImportError("parsing pages is left to prometheus_client: pip install prometheus_client", name=error.name) from None
    return [getattr(of, name) for name in names]
