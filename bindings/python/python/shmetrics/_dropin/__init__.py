"""prometheus_client's multiprocess mode, counting into shared memory.

The start-up hook calls ``patch`` with each module of prometheus_client that decides where values
are kept, after that module has run. The application keeps prometheus_client's metric classes,
registries and exporters. This package replaces the value class, the methods that update values, the
multiprocess collector, ``mark_process_dead``, and ``generate_latest`` for registries that contain
the collector.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from .._segment import warn
from . import exposition, metrics, multiprocess, values

#: In the order in which prometheus_client imports them.
_PATCHES = {
    "prometheus_client.values": values.patch,
    "prometheus_client.metrics": metrics.patch,
    "prometheus_client.openmetrics.exposition": exposition.patch,
    "prometheus_client.exposition": exposition.patch,
    "prometheus_client.multiprocess": multiprocess.patch,
}


def patch(module: Any, late: bool = False) -> None:
    """Patches a module of prometheus_client. If that fails, the module stays as it is, with a
    warning.

    ``late``: the module was imported outside of multiprocess mode, and the application may have
    created metrics. All its metrics stay in process memory.
    """
    if os.environ.get("SHMETRICS_PYTHON", "").lower() in ("0", "off", "false", "no"):
        return
    name = module.__name__
    try:
        _PATCHES[name](module, late)
    except Exception as error:
        warn("prometheus_client stays as it is, %s could not be patched: %r" % (name, error))


def install() -> None:
    """Does what the start-up hook does, for Pythons that do not run it. Call it before the first
    metric.
    """
    for name in _PATCHES:
        patch(importlib.import_module(name))
    exposition.export(sys.modules["prometheus_client.exposition"])


__all__ = ["install", "patch"]
