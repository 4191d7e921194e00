"""The segments of directories, as this process has them open."""

from __future__ import annotations

import atexit
import os
from typing import Any, Dict, List, Optional, Tuple

from .. import _directory, _names, _segment
from .._native import Reader, Segment, is_registered


class OpenSegment:
    """A segment that this process counts in, and what the process knows about it."""

    def __init__(self, name: Optional[str], segment: Segment, options: "Dict[str, Any]") -> None:
        #: ``None``: the segment is memory of this process and its forked children.
        self.name = name
        self.segment = segment
        self._trust = options.get("trust")
        #: The metrics that this process has defined.
        self.defined: "set[str]" = set()
        #: By process and identity, for applications that name themselves:
        #: ``MultiProcessValue(identifier)``.
        self._by_identity: "Dict[Tuple[int, Any], Segment]" = {}
        self._warned: "set[str]" = set()
        #: Native metrics by the definition of prometheus_client's metric.
        self.mirrors: "Dict[Any, Any]" = {}

    def of(self, who: Tuple[int, Any]) -> Segment:
        """The segment as the process with this identity. The first identity has this process' own
        mapping.
        """
        segment = self._by_identity.get(who)
        if segment is None:
            first = all(pid != who[0] for pid, _ in list(self._by_identity))
            segment = self.segment if first or self.name is None else self._open_again()
            try:
                segment.set_identity(int(who[1]))
            except (TypeError, ValueError, OverflowError):
                pass  # its pid will do
            segment = self._by_identity.setdefault(who, segment)
        return segment

    def _open_again(self) -> Segment:
        """The segment opened once more, as by another process."""
        return Segment(_name_of(self.segment), separate_mapping=True, trust=self._trust)

    def detach(self, identity: Any) -> None:
        """The process that has this identity is dead."""
        for who, segment in self._by_identity.copy().items():
            if str(who[1]) == str(identity) and who[0] == os.getpid():
                segment.detach_process()

    def may_replace(self, name: str) -> bool:
        """Whether the family may be replaced if other processes have defined it differently: once,
        and not if this process counts in it. So two definitions in one program do not replace each
        other in turn.
        """
        if name in self.defined or is_registered(self.segment, name):
            return False
        self.defined.add(name)
        return True

    def unregister_namesakes(self, name: str, kind: str) -> bool:
        """Unregisters families of other names that have the same samples, such as the counter ``a``
        of an earlier start where this process has a gauge ``a_total``. False if there are none.
        """
        own = {_names.metric(sample, _names.UNDERSCORES) for sample in _names.samples(name, kind)}
        done = False
        for family, of in self.segment.family_types():
            samples = {_names.metric(sample, _names.UNDERSCORES) for sample in _names.samples(family, of)}
            if family != name and not own.isdisjoint(samples) and self.may_replace(family):
                done = self.segment.unregister(family) or done
        return done

    def warn_replaced(self, name: str) -> None:
        """Tells of processes that still have an earlier definition."""
        if (self.segment.attached() or 0) > 1:
            _segment.warn(
                "the metric %s has another definition than at an earlier start. Updates of processes that still have the earlier one "
                "are on no page (shmetrics_stale_updates_total counts them): end them" % name
            )

    def warn_refused(self, name: str, error: Exception) -> None:
        if name not in self._warned:
            self._warned.add(name)
            _segment.warn(
                "the metric %s is counted in this process only, and is not on pages of the segment %s: %s: %s"
                % (name, self.name or "(without a name)", error, _segment.remedy(error))
            )


#: The open segments, by the directory and the name in the environment.
_opened: "Dict[Any, Optional[OpenSegment]]" = {}
_warned_of_variable: "List[bool]" = []
#: Absolute paths of relative ones, from their first use: a daemon changes its directory.
_resolved: "Dict[str, str]" = {}


def resolved(path: str) -> str:
    """The directory of a path at its first use."""
    if os.path.isabs(path):
        return os.path.realpath(path)
    if path not in _resolved:
        _resolved[path] = os.path.realpath(path)
    here = os.path.realpath(path)
    return here if os.path.isdir(here) else _resolved[path]


def open_for_values() -> Optional[OpenSegment]:
    """The segment for new values, as the environment says. If the application has removed the
    variable, for example to hide it from its children, the segment that was opened last.
    """
    key = (_directory.from_environment(), os.environ.get("SHMETRICS_SEGMENT"))
    try:
        return _opened[key]
    except KeyError:
        return _open_new(key)


def _open_new(key: "Tuple[Optional[str], Optional[str]]") -> Optional[OpenSegment]:
    path, name = key[0], _segment.name_from_environment()
    if path is None and not name:
        last = next(reversed(_all_open()), None)
        if last is None and not _warned_of_variable:
            _warned_of_variable.append(True)
            _segment.warn(
                "metrics are counted in this process only: PROMETHEUS_MULTIPROC_DIR was removed from the environment before the first "
                "metric. Remove it after that"
            )
        return last
    _leave_gone()
    options: "Dict[str, Any]" = {}
    if path is not None:
        segment, name, options, warning = _segment.open_of_directory(resolved(path), name)
    else:
        segment, warning = _segment.open_or_fall_back(name)
    made = None
    if segment is not None:
        # Another path may lead to the same directory.
        made = next((d for d in _all_open() if d.name is not None and d.segment.path == segment.path), None)
        made = made or OpenSegment(name if segment.path else None, segment, options)
    # Another thread or a signal handler may have been first. The warning comes when it can count.
    chosen = _opened.setdefault(key, made)
    if warning and chosen is made:
        _segment.warn(warning)
    return chosen


def open_at(path: str) -> Optional[OpenSegment]:
    """The segment that this process counts in for a directory."""
    real = os.path.realpath(path)
    for key, opened in list(_opened.items()):
        if opened is not None and key[0] is not None and resolved(key[0]) == real:
            return opened
    return None


def _given_for(path: str) -> Optional[str]:
    """The name that the environment gives, if it is about this directory."""
    directory = _directory.from_environment()
    if directory is not None and resolved(directory) == os.path.realpath(path):
        return _segment.name_from_environment()
    return None


#: Segments that this process only reads.
_readers: "Dict[str, Reader]" = {}


def segment_at(path: str) -> Any:
    """The segment of a directory, to read; ``None`` if no process has counted. If the segment
    cannot be read, an error names it and the remedy: a page without it would be wrong.
    """
    opened = open_at(path)
    own = None if opened is None else _name_of(opened.segment)
    if opened is not None and own is None:
        return opened.segment  # of this process and its forked children
    name, must_be_there = _given_for(path), False
    try:
        if name is None:
            name, must_be_there = _directory.find(path, None if opened is None else opened.name)
    except OSError as error:
        raise _unreadable(path, str(error.strerror or error), error)
    if opened is not None:
        if own == name:
            return opened.segment
        if must_be_there and opened.name != name:
            # Without a marker, it is among the further segments.
            if not _directory.is_without_marker(path, str(opened.name)):
                _segment.warn(
                    "the directory %s was wiped while this process counted in its segment %s; newer processes count in %s, which pages "
                    "show now: restart the application" % (path, opened.name, name)
                )
        elif own == opened.name:
            return opened.segment
        else:
            # This process may not write to the directory's first segment, and counts in a side
            # segment.
            name, must_be_there = str(opened.name), True
    return _open_reader(path, name, must_be_there)


def _name_of(segment: Segment) -> Optional[str]:
    return None if segment.path is None else segment.path.rpartition("/")[2][len("shmetrics-") :]


def _open_reader(path: str, name: str, must_be_there: bool) -> Any:
    known = _readers.get(name)
    if known is not None and known.is_current:
        return known
    _readers.pop(name, None)
    try:
        reader = _readers[name] = Reader(name)
        return reader
    except PermissionError as error:
        raise _unreadable(path, _why_not(name, error), error)
    except OSError as error:
        if not os.path.lexists(_directory.file_of(name)):
            if not must_be_there:
                return None
            raise _unreadable(
                path,
                "%s is not there. Processes that count have made it elsewhere, or it was removed: let this process and theirs share "
                "/dev/shm (or SHMETRICS_DIR), or restart them" % _directory.file_of(name),
                error,
            )
        raise _unreadable(path, str(error), error)


def _why_not(name: str, error: OSError) -> str:
    try:
        file = os.lstat(_directory.file_of(name))
    except OSError:
        return str(error)
    return (
        "user %d may not read it: it belongs to user %d and group %d, with mode %03o. Give the directory a mode with which others "
        "may read it, or set SHMETRICS_MODE=0640 and SHMETRICS_GROUP to a group of both, and start anew"
        % (os.geteuid(), file.st_uid, file.st_gid, file.st_mode & 0o777)
    )


class SegmentUnreadable(OSError):
    """The segment cannot be read, so there is no page. A scrape should fail."""


def _unreadable(path: str, why: str, error: Optional[Exception] = None) -> SegmentUnreadable:
    message = "the metrics of the directory %s cannot be shown: %s" % (path, why)
    _segment.warn(message)
    made = SegmentUnreadable(message)
    made.__cause__ = error
    return made


def further_segments(path: str) -> "List[Any]":
    """Further segments of a directory: side segments, and those of processes that could neither
    read nor create the marker, as they may not, or were there first.
    """
    opened, found, given = open_at(path), [], _given_for(path)
    try:
        name = given or _directory.find(path, None if opened is None else opened.name)[0]
    except OSError:
        return []  # `segment_at` says so
    others = _directory.side_segments(name)
    if given is None:
        others += [other for other, used in _directory.same_directory(path) if used and other != name]
    for other in others:
        if opened is not None and other == _name_of(opened.segment):
            found.append(opened.segment)
        elif _directory.may_add(path, other):
            found.append(_open_reader(path, other, True))
        elif _directory.is_in_use(other):
            # Without these counts the page would be wrong. With them, any user could invent counts.
            raise _unreadable(
                path,
                "processes of user %s count in the segment %s, and that user may not write into the directory. Give the directory "
                "to the user of all processes, or name the user in SHMETRICS_TRUST" % (_owner_of(other), other),
            )
        else:
            _segment.warn("the segment %s is on no page: its owner may not write into the directory %s" % (other, path))
    return found


def _owner_of(name: str) -> str:
    try:
        return str(os.lstat(_directory.file_of(name)).st_uid)
    except OSError:
        return "(gone)"


def detach(path: Optional[str], identity: Any) -> None:
    of = None if path is None else open_at(path)
    for opened in _all_open():
        if path is None or opened is of:
            opened.detach(identity)


def _all_open() -> "List[OpenSegment]":
    return [opened for opened in _opened.copy().values() if opened is not None]


def _leave_gone() -> None:
    """Removes segments of directories that are gone, if this process alone has them open."""
    for key, opened in list(_opened.items()):
        # The segment is in use by this process. But other processes cannot find it any more.
        if opened is None or opened.name is None or opened.segment.path is None:
            continue
        try:
            moved = key[0] is not None and _directory.read(resolved(key[0])) == opened.name
            if not moved and _directory.is_orphaned(opened.name) and opened.segment.attached() == 1:
                _opened.pop(key, None)
                Segment.remove(str(_name_of(opened.segment)))
        except (OSError, ValueError):
            pass


def _at_exit() -> None:
    try:
        if _opened:
            _leave_gone()
            _directory.sweep()
    except Exception:
        pass


atexit.register(_at_exit)
