"""The segments of directories, as this process has them open."""

from __future__ import annotations

import atexit
import os
from typing import Any, Dict, List, Optional, Tuple

from .. import _directory, _segment
from .._native import Reader, Segment, is_registered


class Domain:
    """A directory's segment."""

    def __init__(self, name: Optional[str], segment: Segment, options: "Dict[str, Any]") -> None:
        #: ``None``: it has no name, and is this process' and its forked children's.
        self.name = name
        self.segment = segment
        self._trust = options.get("trust")
        #: The metrics that this process has defined.
        self.defined: "set[str]" = set()
        #: Those that this process plays, where it says itself who it is: (pid, identity).
        self._players: "Dict[Tuple[int, Any], Segment]" = {}
        self._told: "set[str]" = set()
        #: Native metrics of the same names, for what values do not do.
        self.mirrors: "Dict[Any, Any]" = {}

    def of(self, who: Tuple[int, Any]) -> Segment:
        """The segment as the process sees it that is called so: the first one's is our own."""
        player = self._players.get(who)
        if player is None:
            first = all(pid != who[0] for pid, _ in self._players)
            player = self.segment if first or self.name is None else self._apart()
            try:
                player.set_identity(int(who[1]))
            except (TypeError, ValueError, OverflowError):
                pass  # its pid will do
            player = self._players.setdefault(who, player)
        return player

    def _apart(self) -> Segment:
        """The segment once more, as another process has it."""
        return Segment(_name_of(self.segment), apart=True, trust=self._trust)

    def leave(self, identity: Any) -> None:
        """One that this process plays is dead."""
        for who in [who for who in self._players if str(who[1]) == str(identity) and who[0] == os.getpid()]:
            self._players[who].leave()

    def may_replace(self, name: str) -> bool:
        """Whether a family that others have defined otherwise may be replaced: once, and not where
        this process counts in it already. So two definitions in one program do not take turns.
        """
        if name in self.defined or is_registered(self.segment, name):
            return False
        self.defined.add(name)
        return True

    def refused(self, name: str, error: Exception) -> None:
        if name not in self._told:
            self._told.add(name)
            _segment.warn(
                "the metric %s is counted in this process only, and is not on pages of the segment %s: %s: %s"
                % (name, self.name or "(without a name)", error, _segment.remedy(error))
            )


#: Those that were opened, by the directory and the name that the environment gave.
_domains: "Dict[Any, Optional[Domain]]" = {}
#: Where relative paths led to when they were used first: a program that turns into a daemon changes
#: its directory.
_resolved: "Dict[str, str]" = {}


def resolved(path: str) -> str:
    """The directory that a path led to when it was used first."""
    if os.path.isabs(path):
        return os.path.realpath(path)
    if path not in _resolved:
        _resolved[path] = os.path.realpath(path)
    here = os.path.realpath(path)
    return here if os.path.isdir(here) else _resolved[path]


def domain_of() -> Optional[Domain]:
    """The segment for new values: the one of the environment's directory, or the one that the
    environment names.
    """
    key = (_directory.from_environment(), os.environ.get("SHMETRICS_SEGMENT"))
    try:
        return _domains[key]
    except KeyError:
        return _open_domain(key)


def _open_domain(key: "Tuple[Optional[str], Optional[str]]") -> Optional[Domain]:
    path, name = key[0], _segment.given_name()
    if path is None and not name:
        return None
    _leave_gone()
    options: "Dict[str, Any]" = {}
    if path is not None:
        segment, name, options, trouble = _segment.open_of_directory(resolved(path), name)
    else:
        segment, trouble = _segment.open_or_fall_back(name)
    made = None
    if segment is not None:
        # Of another path to the same directory.
        made = next((d for d in _open() if d.name is not None and d.segment.path == segment.path), None)
        made = made or Domain(name if segment.path else None, segment, options)
    # Another thread, or a signal handler, may have been first. The application is told when it can
    # count.
    chosen = _domains.setdefault(key, made)
    if trouble and chosen is made:
        _segment.warn(trouble)
    return chosen


def domain_at(path: str) -> Optional[Domain]:
    """What this process counts in that has this directory."""
    real = os.path.realpath(path)
    for key, domain in list(_domains.items()):
        if domain is not None and key[0] is not None and resolved(key[0]) == real:
            return domain
    return None


def _given_for(path: str) -> Optional[str]:
    """The name that the environment gives to its own directory."""
    directory = _directory.from_environment()
    if directory is not None and resolved(directory) == os.path.realpath(path):
        return _segment.given_name()
    return None


#: What this process reads without counting there.
_readers: "Dict[str, Reader]" = {}


def segment_at(path: str) -> Any:
    """The segment of a directory, to read; ``None`` if there is none yet. Where there is one that
    cannot be read, an error says which, and what to do: a page without it would be a wrong one.
    """
    domain = domain_at(path)
    own = None if domain is None else _name_of(domain.segment)
    if domain is not None and own is None:
        return domain.segment  # of this process and its forked children
    name, must_be_there = _given_for(path), False
    try:
        if name is None:
            name, must_be_there = _directory.find(path, None if domain is None else domain.name)
    except OSError as error:
        raise _unreadable(path, str(error.strerror or error), error)
    if domain is not None:
        if own == name:
            return domain.segment
        if must_be_there and domain.name != name:
            _segment.warn(
                "the directory %s was wiped while this process counted in its segment %s; newer processes count in %s, which pages show "
                "now: restart the application" % (path, domain.name, name)
            )
        elif own == domain.name:
            return domain.segment
        else:
            # This process may not write to the directory's first segment, and counts in one beside
            # it.
            name, must_be_there = str(domain.name), True
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
    """A page cannot be made, as the segment cannot be read. A scrape should fail."""


def _unreadable(path: str, why: str, error: Optional[Exception] = None) -> SegmentUnreadable:
    message = "the metrics of the directory %s cannot be shown: %s" % (path, why)
    _segment.warn(message)
    made = SegmentUnreadable(message)
    made.__cause__ = error
    return made


def beside(path: str) -> "List[Any]":
    """Further segments of a directory: of users that may not write to the first one, and, where the
    directory takes no marker, of processes in other mount namespaces.
    """
    domain, found = domain_at(path), []
    name = None if domain is None else domain.name
    try:
        if name is None:
            name = _given_for(path) or _directory.find(path)[0]
    except OSError:
        return []  # `segment_at` says so
    others = _directory.others(name)
    if _directory.is_without_marker(path, name):
        others += [other for other, used in _directory.same_directory(path) if used and other != name]
    for other in others:
        if domain is not None and other == _name_of(domain.segment):
            found.append(domain.segment)
        elif _directory.may_add(path, other):
            found.append(_open_reader(path, other, True))
        elif _directory.is_in_use(other):
            # A page without these counts would be wrong, and one with them whatever a user likes.
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


def leave(path: Optional[str], identity: Any) -> None:
    of = None if path is None else domain_at(path)
    for domain in _open():
        if path is None or domain is of:
            domain.leave(identity)


def _open() -> "List[Domain]":
    return [domain for domain in _domains.values() if domain is not None]


def _leave_gone() -> None:
    """Removes segments that this process alone has open, of directories that are gone."""
    for key, domain in list(_domains.items()):
        # What this process has open counts as used; but where its directory is gone, nobody else
        # will find it either.
        if domain is None or domain.name is None or domain.segment.path is None:
            continue
        try:
            moved = key[0] is not None and _directory.read(resolved(key[0])) == domain.name
            if not moved and _directory.is_gone(domain.name) and domain.segment.attached() == 1:
                _domains.pop(key, None)
                Segment.remove(str(_name_of(domain.segment)))
        except (OSError, ValueError):
            pass


def _at_exit() -> None:
    try:
        if _domains:
            _leave_gone()
            _directory.sweep()
    except Exception:
        pass


atexit.register(_at_exit)
