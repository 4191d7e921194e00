"""Which segment a process counts in, and which one it reads, for a directory."""

from __future__ import annotations

import errno
import os
from typing import List, NamedTuple, Optional, Tuple

from .._native import Segment
from .access import may_write
from .marker import MARKER, MarkerError, create_marker, numbers_are_stable, read
from .names import file_of, fnv1a, mount_namespace, split, stem_of


class Claim(NamedTuple):
    """The segment that a process with this directory counts in."""

    name: str
    #: Why there is no marker. The name is then made of the directory's path.
    problem: Optional[str]
    #: The segment is another process'; this process must not create it.
    is_others: bool = False


def without_marker(real: str, stem: str) -> str:
    """The name for a directory that takes no marker. Processes of one mount namespace agree on it.
    """
    namespace = mount_namespace()
    return "%s:%s%s" % (stem, identity_without_marker(namespace, _numbers(real), stem), "." + namespace if namespace else "")


def identity_without_marker(namespace: str, numbers: Tuple[int, int], stem: str) -> str:
    return "%016x" % fnv1a(("%s:%d:%d:%s" % (namespace, *numbers, stem)).encode(), 64)


def _numbers(real: str) -> Tuple[int, int]:
    try:
        status = os.stat(real)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def same_directory(path: str) -> "List[Tuple[str, bool]]":
    """Segments of processes that could neither read nor create the directory's marker, and may see
    the directory from other mount namespaces or under other paths; and whether a process counts in
    each. The newest is the first.

    The identity in such a name is made of the directory's device and inode, which all these
    processes see, and of the other parts of the name.
    """
    real = os.path.realpath(path)
    numbers = _numbers(real)
    try:
        if not numbers_are_stable(real):
            return []
        segments = Segment.list()
    except OSError:
        return []
    found = []
    for segment in segments:
        parts = split(segment)
        if parts is None or parts.user:
            continue
        if parts.identity == identity_without_marker(parts.namespace, numbers, parts.stem):
            found.append((segment, is_in_use(segment)))
    return sorted(found, key=lambda each: created_at(each[0]), reverse=True)


def is_in_use(segment: str) -> bool:
    """Whether a process counts in the segment. False if this process may not know."""
    try:
        return Segment.is_in_use(segment)
    except (OSError, ValueError):
        return False


def _obstacle(real: str) -> Optional[str]:
    """Why this process could not put a marker into the directory; ``None`` if it could."""
    try:
        system = os.statvfs(real)
    except OSError:
        return None  # the directory is gone, and nothing counts for it
    if system.f_flag & os.ST_RDONLY:
        return "its file system is read-only"
    if (system.f_blocks and not system.f_bavail) or (system.f_files and not system.f_favail):
        return "its file system is full"
    return None if may_write(real) else "user %d may not write into it" % os.geteuid()


def _segments_with_stem(stem: str) -> "List[str]":
    """The segments with this stem."""
    try:
        segments = [segment for segment in Segment.list() if segment.startswith(stem + ":")]
    except OSError:
        return []
    return [segment for segment in segments if getattr(split(segment), "stem", None) == stem]


def _segment_in_use(stem: str) -> Optional[str]:
    """The segment in use by processes that found the directory's marker before it was wiped."""
    namespace = mount_namespace()
    found = []
    for segment in _segments_with_stem(stem):
        parts = split(segment)
        if parts is None or parts.namespace != namespace or not namespace:
            continue
        if is_in_use(segment):
            found.append(segment[: -len(parts.user) - 1] if parts.user else segment)
    return max(found, key=created_at, default=None)


def created_at(segment: str) -> float:
    try:
        return os.lstat(file_of(segment)).st_mtime
    except OSError:
        return 0.0


def claim(path: str, stem: Optional[str] = None) -> Claim:
    """The segment to count in."""
    real = os.path.realpath(path)
    stem = stem if stem is not None else stem_of(real)
    for _ in range(20):
        try:
            named = read(real)
        except MarkerError as error:
            if error.errno != errno.EINVAL or not _remove_damaged(real):
                return _claim_without_marker(real, stem, str(error.strerror))
            continue
        if named is not None:
            return Claim(named, None)
        others = _segment_in_use(stem)
        if others is not None:
            return Claim(others, None, is_others=True)
        try:
            create_marker(real, stem)
        except OSError as error:
            return _claim_without_marker(real, stem, "%s: %s" % (error.filename or real, error.strerror))
    return _claim_without_marker(real, stem, "%s keeps being wiped" % real)


def _claim_without_marker(real: str, stem: str, problem: str) -> Claim:
    for segment, used in same_directory(real):
        if used:
            return Claim(segment, problem, is_others=True)
    return Claim(without_marker(real, stem), problem)


def _remove_damaged(real: str) -> bool:
    """Removes a marker without content, as a full disk leaves it behind."""
    try:
        os.unlink(os.path.join(real, MARKER))
        return True
    except OSError:
        return False


def find(path: str, counted: Optional[str] = None) -> Tuple[str, bool]:
    """The segment to read, and whether it must exist: the process that created the marker has
    counted in it. ``counted``: the segment that this process counts in for the directory.

    An empty page is right only if no process has counted. This is known if this process could
    create a marker, as then the counting processes could, too. Otherwise the page is an error.
    """
    real = os.path.realpath(path)
    named = read(real)
    if named is not None:
        return named, True
    if counted is not None and os.path.lexists(file_of(counted)):
        return counted, False
    stem = stem_of(real)
    own = without_marker(real, stem)
    used = _segment_in_use(stem)
    if used is not None or os.path.lexists(file_of(own)):
        return used or own, False
    others = same_directory(real)
    for segment, is_used in others:
        if is_used:
            return segment, True
    if others:
        raise MarkerError(
            errno.ENOENT,
            "it has no marker, and no process counts in the segment %s, which may be its. Start the processes that count, or remove %s"
            % (others[0][0], file_of(others[0][0])),
        )
    obstacle = _obstacle(real)
    if obstacle is not None:
        raise MarkerError(
            errno.ENOENT,
            "no process that can be seen from here counts in it, and it takes no marker by which others could be found: %s. "
            "Start the processes that count, make it writable, or set SHMETRICS_SEGMENT" % obstacle,
        )
    return own, False


def is_without_marker(path: str, segment: str) -> bool:
    """Whether the name is one that processes make for this directory if it takes no marker."""
    parts = split(segment)
    numbers = _numbers(os.path.realpath(path))
    return parts is not None and parts.identity == identity_without_marker(parts.namespace, numbers, parts.stem)


def side_segments(name: str) -> "List[str]":
    """Side segments of a segment: of users who may not write to it."""
    return [segment for segment in _segments_with_stem(name.rpartition(":")[0]) if segment.startswith(name + ".u")]
