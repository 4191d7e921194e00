"""``python_info``: the version of Python."""

from __future__ import annotations

import platform as _platform
from typing import Any, Dict, Iterable, Optional

from .metrics_core import GaugeMetricFamily, Metric
from .registry import REGISTRY


class PlatformCollector:
    """Collects ``python_info``."""

    def __init__(self, registry: Any = REGISTRY, platform: Optional[Any] = None) -> None:
        self._platform = _platform if platform is None else platform
        labels = self._labels()
        family = GaugeMetricFamily("python_info", "Python platform information", labels=list(labels))
        family.add_metric(list(labels.values()), 1)
        self._families = [family]
        if registry is not None:
            registry.register(self)

    def _labels(self) -> "Dict[str, str]":
        of = self._platform
        major, minor, patchlevel = of.python_version_tuple()
        labels = {"version": of.python_version(), "implementation": of.python_implementation()}
        labels.update(major=major, minor=minor, patchlevel=patchlevel)
        if of.system() == "Java":
            version, _, (name, release, vendor), _ = of.java_ver()
            labels.update(jvm_version=version, jvm_release=release, jvm_vendor=vendor, jvm_name=name)
        return labels

    def collect(self) -> "Iterable[Metric]":
        return self._families


#: For ``REGISTRY.register``: it is not registered by default, as a page shows all processes.
PLATFORM_COLLECTOR = PlatformCollector(registry=None)
PLATFORM_COLLECTOR._shmetrics_constant = True  # type: ignore[attr-defined]
