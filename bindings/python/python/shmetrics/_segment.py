"""Which segment this process counts into, and what happens when there is none to be had."""

from __future__ import annotations

import os
import warnings
from typing import Any, Dict, Optional, Tuple

from . import _directory
from ._native import Segment


class SegmentWarning(RuntimeWarning):
    """Metrics are not shared, or not all of them. The application goes on."""


# There are no locks here. Warnings run code of the application, which may count; signal handlers and destructors may come
# in anywhere, and count. A lock held by what they interrupt would never be released. So a segment is opened first, then
# published by one step of a dictionary, which has one winner, and at last the application is told.

#: The segment of this process, once it is chosen; ``None`` if there is none to be had.
_chosen: "Dict[str, Optional[Segment]]" = {}
_DEFAULT = "default"
#: Exceptions of these modules end a greenlet from outside.
_GREENLETS = ("eventlet", "gevent", "greenlet")


def tell(message: str) -> None:
    """Warns. Nothing that has to do with metrics may end an application: not warnings that are errors, and not what shows
    them, whatever that raises.
    """
    try:
        warnings.warn(message, SegmentWarning, stacklevel=3)
    except Exception:
        pass
    except BaseException as error:
        # The user's Ctrl-C, and the end of a greenlet, are not about the warning.
        if isinstance(error, KeyboardInterrupt) or type(error).__module__.partition(".")[0] in _GREENLETS:
            raise


def configure(name: Optional[str] = None, **options: Any) -> Segment:
    """Opens the segment that this process counts into, before its first metric.

    ``name`` and the options are those of :class:`shmetrics.Segment`. Errors are exceptions here.
    """
    known = _chosen.get(_DEFAULT)
    if known is not None and name is None and not options:
        return known
    opened = Segment(name, **options)
    known = _chosen.setdefault(_DEFAULT, opened)
    if known is None:
        known = _chosen[_DEFAULT] = opened
    if known is not opened and known.path != opened.path:
        raise RuntimeError("metrics exist already, in %r: call configure() before the first one is made" % known)
    return known if name is None and not options else opened


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
    try:
        return _chosen[_DEFAULT]
    except KeyError:
        pass
    opened, trouble = open_or_fall_back(name_of_default())
    chosen = _chosen.setdefault(_DEFAULT, opened)
    if trouble and chosen is opened:
        tell(trouble)
    return chosen


def open_or_fall_back(name: Optional[str]) -> "Tuple[Optional[Segment], Optional[str]]":
    """A segment of this name; without room or rights for it, memory of this process and of its forked children; or nothing.

    The second is what to tell the application, after the segment has been published.
    """
    try:
        return Segment(name), None
    except Exception as error:
        reason = error
    try:
        segment = Segment(anonymous=True)
    except Exception as error:
        return None, "metrics are not counted: %s; and without a segment: %s" % (reason, error)
    return segment, "metrics are counted in this process and its forked children only: %s" % reason
