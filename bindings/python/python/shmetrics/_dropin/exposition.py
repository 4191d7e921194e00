"""generate_latest by native code, for registries that contain the multiprocess collector."""

from __future__ import annotations

import functools
import sys
from typing import Any, Iterator, List, Optional, Tuple

from .. import _functions
from .._counted import counts_into_segment, is_native_of
from .._created import is_wanted as created_is_wanted
from .multiprocess import is_one_segment


def patch(exposition: Any, late: bool) -> None:
    """Patches the module prometheus_client.exposition, or that of OpenMetrics."""
    original = exposition.generate_latest
    if hasattr(original, "_shmetrics_original"):
        return
    openmetrics = exposition.__name__.endswith("openmetrics.exposition")

    @functools.wraps(original)
    def generate_latest(*args: Any, **kwargs: Any) -> bytes:
        registry = args[0] if args else kwargs.get("registry")
        parts = None if registry is None else native_part(registry)
        if parts is None:
            return original(*args, **kwargs)  # type: ignore[no-any-return]
        segment, names, rest = parts
        _functions.refresh()
        escaping = args[1] if len(args) > 1 else kwargs.get("escaping")
        page: bytes = segment.render_compat(openmetrics, names=names, escaping=escaping, created=created_is_wanted())
        if rest is None:
            return page
        if openmetrics:
            page = page.replace(b"# EOF\n", b"") if page.endswith(b"# EOF\n") else page
        if args:
            return page + original(rest, *args[1:], **kwargs)  # type: ignore[no-any-return]
        return page + original(**dict(kwargs, registry=rest))  # type: ignore[no-any-return]

    generate_latest._shmetrics_original = original  # type: ignore[attr-defined]
    exposition.generate_latest = generate_latest
    if late:
        export(exposition)


def export(exposition: Any) -> None:
    """Gives the package prometheus_client the function that it has imported from this module."""
    if exposition.__name__ == "prometheus_client.exposition":
        sys.modules["prometheus_client"].generate_latest = exposition.generate_latest  # type: ignore[attr-defined]


class _Rest:
    """The other collectors of a registry."""

    def __init__(self, collectors: "List[Any]", target: Any, names: "Optional[set[str]]") -> None:
        self._collectors = collectors
        self._target = target
        self._names = names

    def collect(self) -> "Iterator[Any]":
        if self._target is not None:
            yield self._target
        for collector in self._collectors:
            for metric in collector.collect():
                if self._names is not None:
                    metric = metric._restricted_metric(self._names)
                if metric is not None:
                    yield metric


def _is_ours(collector: Any) -> bool:
    return getattr(collector, "_shmetrics", None) is True


def native_part(registry: Any) -> "Optional[Tuple[Any, Optional[List[str]], Optional[_Rest]]]":
    """The segment of a registry's multiprocess collector, the names that the registry is restricted
    to, and its other collectors. ``None``: the page is not that of one segment.
    """
    names: "Optional[set[str]]" = None
    if _is_ours(registry):
        collectors, whole = [registry], None
    else:
        whole = registry
        if hasattr(registry, "_name_set") and hasattr(registry, "_registry"):
            names, whole = set(registry._name_set), registry._registry
        known = getattr(whole, "_collector_to_names", None)
        if known is None:
            return None
        collectors = list(known)
    ours = [collector for collector in collectors if _is_ours(collector)]
    if len(ours) != 1 or not is_one_segment(ours[0]):
        return None
    segment = ours[0].segment
    if segment is None:
        return None
    # A metric that is registered beside the collector is on the segment's page already.
    others = [c for c in collectors if not _is_ours(c) and not counts_into_segment(c) and not is_native_of(c, segment)]
    if names is not None and whole is not None:
        wanted = {whole._names_to_collectors[n] for n in names if n in whole._names_to_collectors}
        wanted.update(getattr(whole, "_collectors_without_names", ()))
        others = [c for c in others if c in wanted]
    target = None
    if whole is not None and getattr(whole, "_target_info", None) and (names is None or "target_info" in names):
        target = whole._target_info_metric()
    rest = _Rest(others, target, names) if others or target is not None else None
    return segment, None if names is None else sorted(names), rest
