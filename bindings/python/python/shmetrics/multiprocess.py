"""prometheus_client.multiprocess for applications that move over by changing imports. Nothing in it
is needed any more.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator, List, Optional

from ._segment import default
from .registry import CollectorRegistry


class MultiProcessCollector:
    """A registry shows all processes' metrics as it is: this adds nothing to it."""

    def __init__(self, registry: Optional[CollectorRegistry], path: Optional[str] = None) -> None:
        pass

    def collect(self) -> "Iterator[Any]":
        return iter(())

    @staticmethod
    def merge(files: "Iterable[str]", accumulate: bool = True) -> "List[Any]":
        """What all processes have counted. There are no files."""
        return list(CollectorRegistry()._of_segment(None))


def mark_process_dead(pid: int, path: Optional[str] = None) -> None:
    """The kernel tells who lives: nothing has to be done."""
    segment = default()
    if segment is not None:
        segment.mark_dead(int(pid))
