"""Segments that are left over, and names that segments cannot have."""

from __future__ import annotations

import os
from typing import Optional

from .._native import Segment, file_system
from .choice import created_at, without_marker
from .marker import read
from .names import PREFIX, decoded, mount_namespace, split

#: How many unused segments of one path stay, as another mount namespace may use them again.
_KEPT = 16
_MEMORY = frozenset((0x01021994, 0x858458F6, 0x958458F6))  # tmpfs, ramfs, hugetlbfs


def is_orphaned(segment: str) -> bool:
    """Whether the directory of the segment is gone or was wiped. Only processes in the mount
    namespace of the segment's creator can tell.
    """
    parts = split(segment)
    if parts is None or not parts.namespace or parts.namespace != mount_namespace() or not segment.startswith(PREFIX):
        return False
    try:
        real = decoded(parts.stem[len(PREFIX) :])
    except ValueError:
        return False
    if real is None:
        return False
    try:
        os.stat(real)
        named = read(real)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # without access nothing is known
    first = segment[: -len(parts.user) - 1] if parts.user else segment
    if named is None:
        # The directory takes no marker, or was wiped.
        return first != without_marker(real, parts.stem)
    return first != named


def invalid_name_reason(name: str) -> Optional[str]:
    """Why a segment cannot have this name; ``None`` if it can."""
    try:
        Segment.is_in_use(name)
    except ValueError as error:
        return str(error)
    except Exception:
        pass  # none is there yet, or it is another user's
    if "/" in name:
        try:
            if file_system(os.path.dirname(name)) & 0xFFFFFFFF not in _MEMORY:
                return "%s is not on a tmpfs" % os.path.dirname(name)
        except OSError as error:
            return "%s: %s" % (os.path.dirname(name), error.strerror or error)
    return None


def sweep(kept: str = "") -> None:
    """Removes segments that no process has open for counting: all whose directory is gone, and the
    oldest of those with the same stem as ``kept``.
    """
    stem = kept.rpartition(":")[0]
    try:
        segments = Segment.list()
    except Exception:
        return
    unused = []
    for segment in segments:
        # An error at one segment does not keep the others from being removed.
        try:
            parts = split(segment)
            if parts is None or segment == kept or segment.startswith(kept + ".u"):
                continue
            if is_orphaned(segment):
                remove_unused(segment)
            elif parts.stem == stem and not Segment.is_in_use(segment):
                unused.append(segment)
        except Exception:
            continue
    unused.sort(key=created_at)
    for segment in unused[:-_KEPT]:
        try:
            remove_unused(segment)
        except Exception:
            continue


def remove_unused(segment: str) -> None:
    """Removes a segment that no process has open for counting. Root removes segments of other
    users, too.
    """
    try:
        Segment.remove_if_unused(segment)
    except PermissionError:
        if os.geteuid() != 0 or Segment.is_in_use(segment):
            raise
        Segment.remove(segment)
