"""Which segment this process counts into, and what happens when there is none to be had."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, Dict, NamedTuple, Optional, Tuple

from . import _directory
from ._native import Segment


class SegmentWarning(RuntimeWarning):
    """Metrics are not shared, or not all of them. The application goes on."""


# There are no locks here. Warnings run code of the application, which may count; signal handlers
# and destructors may come in anywhere, and count. A lock held by what they interrupt would never be
# released. So a segment is opened first, then published by one step of a dictionary, which has one
# winner, and at last the application is told.

#: The segment of this process, once it is chosen; ``None`` if there is none to be had.
_chosen: "Dict[str, Optional[Segment]]" = {}
_DEFAULT = "default"
#: Why segments cannot have these names, or that they can.
_names: "Dict[str, Optional[str]]" = {}
#: Exceptions of these modules end a greenlet from outside.
_GREENLETS = ("eventlet", "gevent", "greenlet")


#: Modules whose lines are not the application's.
_OURS = ("_frozen_importlib", "_frozen_importlib_external", "_shmetrics_hook", "importlib", "prometheus_client", "shmetrics")


def _of_the_application(frame: Any) -> Any:
    """The innermost frame that is neither this package's nor prometheus_client's; the outermost one
    if there is none.
    """
    while frame.f_back is not None:
        if (frame.f_globals.get("__name__") or "").partition(".")[0] not in _OURS:
            break
        frame = frame.f_back
    return frame


def remedy(error: Exception) -> str:
    """What to do about a metric that a segment refuses."""
    if isinstance(error, ValueError):
        return "define it alike in all processes, or give it another name"
    return "raise SHMETRICS_MAX_SIZE and start with a new segment"


def warn(message: str) -> None:
    """Warns. Nothing that has to do with metrics may end an application: not warnings that are
    errors, and not what shows them, whatever that raises. The warning is about the application's
    line.
    """
    try:
        frame = _of_the_application(sys._getframe(1))
        registry = frame.f_globals.setdefault("__warningregistry__", {})
        module = frame.f_globals.get("__name__") or "<string>"
        warnings.warn_explicit(message, SegmentWarning, frame.f_code.co_filename, frame.f_lineno, module, registry)
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


def given_name() -> Optional[str]:
    """The segment that the environment names, if a segment can have that name."""
    name = os.environ.get("SHMETRICS_SEGMENT")
    if not name:
        return None
    if name not in _names:
        _names[name] = why = _directory.why_no_name(name)
        if why is not None:
            warn("SHMETRICS_SEGMENT=%s is left out, and the default taken: %s" % (name, why))
    return name if _names[name] is None else None


def default() -> Optional[Segment]:
    """The segment that this process counts into. Without one, metrics are this process' and its
    forked children's own.
    """
    try:
        return _chosen[_DEFAULT]
    except KeyError:
        pass
    opened, trouble = open_default()
    chosen = _chosen.setdefault(_DEFAULT, opened)
    if trouble and chosen is opened:
        warn(trouble)
    return chosen


def open_default() -> "Tuple[Optional[Segment], Optional[str]]":
    """The segment that the environment names, or that of its directory, or ``default``."""
    name, directory = given_name(), _directory.from_environment()
    if directory is not None:
        segment, first, _, trouble = open_of_directory(directory, name)
        if segment is not None and _is_side(segment, first):
            trouble = (
                "metrics of this process are in the segment %s, as it may not write to %s: pages of this package show the former alone. "
                "Give the directory %s to the user of all processes" % (segment.path, first, directory)
            )
        return segment, trouble
    return open_or_fall_back(name if name is not None else "default")


class Opened(NamedTuple):
    """What came of opening a directory's segment for counting."""

    segment: Optional[Segment]
    #: Of the directory's segment, also where this process counts in another one.
    name: str
    options: "Dict[str, Any]"
    #: What to tell the application, after the segment has been published.
    trouble: Optional[str]


def open_of_directory(directory: str, name: Optional[str] = None) -> Opened:
    """The segment that a directory stands for, or that has been given a name beside it."""
    if name is not None:
        options = _directory.access(directory, name)
        given, trouble = open_or_fall_back(name, options)
        return Opened(given, name, options, trouble)
    segment: Optional[Segment] = None
    trouble = "metrics are not counted: %s keeps being wiped" % directory
    before: Optional[str] = None
    problem: Optional[str] = None
    for _ in range(20):
        place = _directory.claim(directory)
        if place.name == before:
            break
        options = _directory.access(directory, place.name)
        _directory.sweep(place.name)
        if place.is_others and not os.path.lexists(_directory.file_of(place.name)):
            continue  # its last process has just ended
        segment, trouble = open_or_fall_back(place.name, options)
        # Between the look at the directory and the opening, somebody may have wiped it.
        before, problem = place.name, place.problem
    if problem is not None and trouble is None:
        trouble = (
            "metrics are counted in the segment %s, which wiping %s does not reset, and which processes in other containers find only "
            "while it is in use: the directory takes no marker (%s). Make it writable, or set SHMETRICS_SEGMENT"
            % (place.name, directory, problem)
        )
    if segment is not None and trouble is None and _is_side(segment, place.name) and not (
        _directory.may_write(directory) or _directory.is_trusted(os.geteuid())
    ):
        trouble = (
            "metrics are counted in the segment %s, and pages of the directory %s fail meanwhile: user %d may not write into it. Give it "
            "to the user of all processes, or name the user in SHMETRICS_TRUST" % (segment.path, directory, os.geteuid())
        )
    return Opened(segment, place.name, options, trouble)


def _is_side(segment: Segment, first: str) -> bool:
    """Whether the segment is one beside the directory's first, as this process may not write to that."""
    return segment.path is not None and not segment.path.endswith("shmetrics-" + first.rpartition("/")[2])


def open_or_fall_back(
    name: Optional[str], options: "Optional[Dict[str, Any]]" = None
) -> "Tuple[Optional[Segment], Optional[str]]":
    """A segment of this name; without room or rights for it, memory of this process and of its
    forked children; or nothing.

    Who may not write to a directory's segment has one beside it, which pages add to it. The second
    is what to tell the application, after the segment has been published.
    """
    options = dict(options or {})
    while True:
        try:
            return Segment(name, **options), None
        except Exception as error:
            reason = error
        # Root of a user namespace, or without its rights, may not give files away: then the segment
        # is its own.
        given = next((what for what in ("owner", "group") if what in options and "the option %s=" % what in str(reason)), None)
        if given is None:
            break
        del options[given]
        if given == "group" and "mode" in options:
            options["mode"] &= ~0o060
    if isinstance(reason, PermissionError) and name is not None and _directory.split(name) is not None:
        mine = {key: value for key, value in options.items() if key in ("mode", "group")}
        try:
            return Segment("%s.u%d" % (name, os.geteuid()), **mine), None
        except Exception:
            pass
    try:
        segment = Segment(anonymous=True)
    except Exception as error:
        return None, "metrics are not counted: %s; and without a segment: %s" % (reason, error)
    return segment, "metrics are counted in this process and its forked children only: %s" % reason
