"""prometheus_client.multiprocess, for applications that move over by changing imports. None of it
is needed any more.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator, List, Optional

from ._segment import default
from .registry import CollectorRegistry


class MultiProcessCollector:
    """Adds nothing to a registry, as the registry shows all processes' metrics."""

    def __init__(self, registry: Optional[CollectorRegistry], path: Optional[str] = None) -> None:
        pass

    def collect(self) -> "Iterator[Any]":
        return iter(())

    @staticmethod
    def merge(files: "Iterable[str]", accumulate: bool = True) -> "List[Any]":
        """What all processes have counted. There are no files."""
        return list(CollectorRegistry()._of_segment(None))


def mark_process_dead(pid: int, path: Optional[str] = None) -> None:
    """Has no effect on counts: the segment knows which processes live."""
    segment = default()
    if segment is not None:
        segment.mark_dead(int(pid))
