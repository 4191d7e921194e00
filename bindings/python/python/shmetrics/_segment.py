"""Which segment this process counts into, and what happens if none can be opened."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any, Dict, NamedTuple, Optional, Tuple

from . import _directory
from ._native import Segment


class SegmentWarning(RuntimeWarning):
    """Metrics are not shared, or not all of them. The application continues."""


# This module has no locks. Code of the application may run at any point, and may count: warnings,
# signal handlers, destructors. A lock held by the code that they interrupt would never be released.
# So a segment is opened first, and then published by one operation of a dictionary, which one
# thread wins. The application is warned last.

#: The segment of this process, once it is chosen; ``None`` if none can be opened.
_chosen: "Dict[str, Optional[Segment]]" = {}
_DEFAULT = "default"
#: Why a segment cannot have a name; ``None`` if it can.
_names: "Dict[str, Optional[str]]" = {}
#: Exceptions of these modules end a greenlet from outside.
_GREENLETS = ("eventlet", "gevent", "greenlet")
#: Top-level modules whose lines are not the application's.
_OURS = ("_frozen_importlib", "_frozen_importlib_external", "_shmetrics_hook", "importlib", "prometheus_client", "shmetrics")


def _application_frame(frame: Any) -> Any:
    """The innermost frame outside of this package and prometheus_client, or the outermost frame."""
    while frame.f_back is not None:
        if (frame.f_globals.get("__name__") or "").partition(".")[0] not in _OURS:
            break
        frame = frame.f_back
    return frame


def remedy(error: Exception) -> str:
    """What to do about a metric that a segment refuses."""
    if isinstance(error, NotImplementedError):
        return "let the classes Histogram and Summary create their values"
    if isinstance(error, TypeError):
        return "give texts as its name, documentation, labels and states"
    if isinstance(error, ValueError):
        return "define it alike in all processes, or give it another name"
    return "raise SHMETRICS_MAX_SIZE and start with a new segment"


def warn(message: str) -> None:
    """Warns at the application's line. A metric must not end an application: neither do warnings
    that are errors, nor exceptions of the code that shows warnings.
    """
    try:
        frame = _application_frame(sys._getframe(1))
        registry = frame.f_globals.setdefault("__warningregistry__", {})
        module = frame.f_globals.get("__name__") or "<string>"
        warnings.warn_explicit(message, SegmentWarning, frame.f_code.co_filename, frame.f_lineno, module, registry)
    except Exception:
        pass
    except BaseException as error:
        # Ctrl-C and the end of a greenlet are not caused by the warning.
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


def name_from_environment() -> Optional[str]:
    """The segment that the environment names, if a segment can have that name."""
    name = os.environ.get("SHMETRICS_SEGMENT")
    if not name:
        return None
    if name not in _names:
        _names[name] = why = _directory.invalid_name_reason(name)
        if why is not None:
            warn("SHMETRICS_SEGMENT=%s is left out, and the default taken: %s" % (name, why))
    return name if _names[name] is None else None


def default() -> Optional[Segment]:
    """The segment that this process counts into. Without one, this process and its forked children
    count in their own memory.
    """
    try:
        return _chosen[_DEFAULT]
    except KeyError:
        pass
    opened, warning = open_default()
    chosen = _chosen.setdefault(_DEFAULT, opened)
    if warning and chosen is opened:
        warn(warning)
    return chosen


def open_default() -> "Tuple[Optional[Segment], Optional[str]]":
    """Opens the segment of the environment: by its name, by the directory, or ``default``. Also
    returns a warning.
    """
    name, directory = name_from_environment(), _directory.from_environment()
    if directory is not None:
        segment, first, _, warning = open_of_directory(directory, name)
        if segment is not None and _is_side(segment, first):
            warning = (
                "metrics of this process are in the segment %s, as it may not write to %s: pages of this package show the former alone. "
                "Give the directory %s to the user of all processes" % (segment.path, first, directory)
            )
        return segment, warning
    return open_or_fall_back(name if name is not None else "default")


class Opened(NamedTuple):
    """The result of opening a directory's segment for counting."""

    segment: Optional[Segment]
    #: The directory's segment, also if this process counts in another one.
    name: str
    options: "Dict[str, Any]"
    #: A warning for the application, to be given after the segment is published.
    warning: Optional[str]


def open_of_directory(directory: str, name: Optional[str] = None) -> Opened:
    """Opens the segment of a directory; ``name`` takes precedence over the directory's own."""
    if name is not None:
        options = _directory.access_options(directory, name)
        given, warning = open_or_fall_back(name, options)
        return Opened(given, name, options, warning)
    segment: Optional[Segment] = None
    warning = "metrics are not counted: %s keeps being wiped" % directory
    before: Optional[str] = None
    problem: Optional[str] = None
    for _ in range(20):
        place = _directory.claim(directory)
        if place.name == before:
            break
        options = _directory.access_options(directory, place.name)
        _directory.sweep(place.name)
        if place.is_others and not os.path.lexists(_directory.file_of(place.name)):
            continue  # its last process has just ended
        segment, warning = open_or_fall_back(place.name, options)
        # The directory may be wiped between the look at the marker and the opening: look again.
        before, problem = place.name, place.problem
    if problem is not None and warning is None:
        warning = (
            "metrics are counted in the segment %s, which wiping %s does not reset, and which processes in other containers find only "
            "while it is in use: the directory takes no marker (%s). Make it writable, or set SHMETRICS_SEGMENT"
            % (place.name, directory, problem)
        )
    if segment is not None and warning is None and _is_side(segment, place.name) and not (
        _directory.may_write(directory) or _directory.is_trusted(os.geteuid())
    ):
        warning = (
            "metrics are counted in the segment %s, and pages of the directory %s fail meanwhile: user %d may not write into it. Give it "
            "to the user of all processes, or name the user in SHMETRICS_TRUST" % (segment.path, directory, os.geteuid())
        )
    return Opened(segment, place.name, options, warning)


def _is_side(segment: Segment, first: str) -> bool:
    """Whether it is a side segment: this process may not write to the directory's first."""
    return segment.path is not None and not segment.path.endswith("shmetrics-" + first.rpartition("/")[2])


def open_or_fall_back(
    name: Optional[str], options: "Optional[Dict[str, Any]]" = None
) -> "Tuple[Optional[Segment], Optional[str]]":
    """Opens a segment of this name; without room or permission, memory of this process and its
    forked children; or nothing. Also returns a warning.

    A process that may not write to a directory's segment gets a side segment, which pages add.
    """
    options = dict(options or {})
    while True:
        try:
            return Segment(name, **options), None
        except Exception as error:
            reason = error
        # Root in a user namespace, or without its capabilities, may not give files away: then it
        # keeps the segment.
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
