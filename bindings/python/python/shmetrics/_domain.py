"""The segments of directories, as this process has them open."""

from __future__ import annotations

import atexit
import os
from typing import Any, Dict, List, Optional, Tuple

from . import _directory, _segment
from ._native import Segment


class Domain:
    """A directory's segment."""

    def __init__(self, name: Optional[str], segment: Segment) -> None:
        #: ``None``: it has no name, and is this process' and its forked children's.
        self.name = name
        self.segment = segment
        #: Those that this process plays, where it says itself who it is: (pid, identity).
        self._players: "Dict[Tuple[int, Any], Segment]" = {}
        self._told: "set[str]" = set()
        #: Native metrics of the same names, for what values do not do.
        self.twins: "Dict[Any, Any]" = {}

    def of(self, who: Tuple[int, Any]) -> Segment:
        """The segment as the process sees it that is called so: the first one's is our own."""
        player = self._players.get(who)
        if player is None:
            first = all(pid != who[0] for pid, _ in self._players)
            player = self.segment if first or self.name is None else Segment(self.name, apart=True)
            try:
                player.set_identity(int(who[1]))
            except (TypeError, ValueError, OverflowError):
                pass  # its pid will do
            player = self._players.setdefault(who, player)
        return player

    def leave(self, identity: Any) -> None:
        """One that this process plays is dead."""
        for who in [who for who in self._players if str(who[1]) == str(identity) and who[0] == os.getpid()]:
            self._players[who].leave()

    def refused(self, name: str, error: Exception) -> None:
        if name not in self._told:
            self._told.add(name)
            _segment.tell("the metric %s is counted in this process only: %s" % (name, error))


_domains: "Dict[str, Optional[Domain]]" = {}
#: The one of the environment's directory: the variables, which directory it is, and its name.
_latest: "Tuple[Any, Any, str]" = (None, None, "")


def _name_of(path: str) -> str:
    """The name of a directory's segment. The environment's directory may have been given another."""
    given = os.environ.get("SHMETRICS_SEGMENT")
    if given and path == _directory.from_environment():
        return given
    return _directory.name(path)


def domain_of() -> Optional[Domain]:
    """The segment for new values: the one of the environment's directory, or the one that the environment names."""
    global _latest
    path, name = _directory.from_environment(), os.environ.get("SHMETRICS_SEGMENT")
    if path is None and not name:
        return None
    if not name:
        assert path is not None
        try:
            which = Segment.directory_identity(path)
        except OSError:
            which = None
        if which is not None and _latest[:2] == (path, which):
            name = _latest[2]
        else:
            name = _directory.name(path)
            _latest = (path, which, name)
    try:
        return _domains[name]
    except KeyError:
        pass
    _clean_up()
    segment, trouble = _segment.open_or_fall_back(name)
    made = None if segment is None else Domain(name if segment.path else None, segment)
    # Another thread, or a signal handler, may have been first. The application is told when it can count.
    chosen = _domains.setdefault(name, made)
    if trouble and chosen is made:
        _segment.tell(trouble)
    return chosen


def segment_at(path: str) -> Optional[Segment]:
    """The segment of a directory; ``None`` if there is none yet."""
    name = _name_of(path)
    domain = _domains.get(name)
    if domain is not None:
        return domain.segment
    try:
        return Segment(name, attach=True)
    except OSError:
        return None


def leave(path: Optional[str], identity: Any) -> None:
    name = _name_of(path) if path else None
    for domain in _open():
        if name is None or domain.name == name:
            domain.leave(identity)


def _open() -> "List[Domain]":
    return [domain for domain in _domains.values() if domain is not None]


def _clean_up() -> None:
    """Removes segments of directories that are gone."""
    for name in list(_domains):
        # What this process has open counts as used; but where its directory is gone, nobody else will find it either.
        if name.startswith(_directory.PREFIX) and not name.endswith(":none") and _directory.is_gone(name):
            _domains.pop(name)
            try:
                Segment.remove(name)
            except OSError:
                pass
    _directory.sweep()


def _at_exit() -> None:
    try:
        if _domains:
            _clean_up()
    except Exception:
        pass


atexit.register(_at_exit)
