"""Which segment this process counts into, and what happens when there is none to be had."""

from __future__ import annotations

import os
import threading
import warnings
from typing import Any, Optional

from . import _directory
from ._native import Segment


class SegmentWarning(RuntimeWarning):
    """Metrics are not shared, or not all of them. The application goes on."""


_lock = threading.Lock()
_default: Optional[Segment] = None
_tried = False
_options: "dict[str, Any]" = {}


def tell(message: str) -> None:
    """Warns. Nothing that has to do with metrics may end an application, not even warnings that are errors."""
    try:
        warnings.warn(message, SegmentWarning, stacklevel=3)
    except Warning:
        pass


def configure(name: Optional[str] = None, **options: Any) -> Segment:
    """Opens the segment that this process counts into, before its first metric.

    ``name`` and the options are those of :class:`shmetrics.Segment`. Errors are exceptions here.
    """
    global _default, _tried
    with _lock:
        if _default is not None and (name is not None or options):
            opened = Segment(name, **options)
            if opened.path != _default.path:
                raise RuntimeError("metrics exist already, in %r: call configure() before the first one is made" % _default)
            return opened
        if _default is None:
            _default = Segment(name, **options)
            _tried = True
        return _default


def name_of_default() -> Optional[str]:
    """The name of the segment that this process counts into, unless it is configured otherwise."""
    if os.environ.get("SHMETRICS_SEGMENT"):
        return os.environ["SHMETRICS_SEGMENT"]
    directory = _directory.from_environment()
    if directory is not None:
        return _directory.name(directory)
    return None


def default() -> Optional[Segment]:
    """The segment that this process counts into. Without one, metrics are this process' and its forked children's own."""
    global _default, _tried
    if _default is not None or _tried:
        return _default
    with _lock:
        if _default is None and not _tried:
            _default = open_or_fall_back(name_of_default())
            _tried = True
    return _default


def open_or_fall_back(name: Optional[str]) -> Optional[Segment]:
    """A segment of this name; without room or rights for it, memory of this process and of its forked children; or nothing."""
    try:
        return Segment(name)
    except Exception as error:
        reason = error
    try:
        segment = Segment(anonymous=True)
    except Exception as error:
        tell("metrics are not counted: %s; and without a segment: %s" % (reason, error))
        return None
    tell("metrics are counted in this process and its forked children only: %s" % reason)
    return segment


def _new_process() -> None:
    # A fork may have come while another thread held it.
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_new_process)
