"""PROMETHEUS_MULTIPROC_DIR as the name of a segment. Nothing is written into the directory.

The name holds the directory's path, so that people recognise it, and which directory it is: one that was removed and made again begins
anew. What nobody uses any more, of directories that are gone, is removed when another segment is opened.
"""

from __future__ import annotations

import os
from typing import Optional, Tuple

from ._native import Segment

PREFIX = "multiproc:"
#: What a segment's name may have.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST = 200


def from_environment() -> Optional[str]:
    """The directory that the environment names, as prometheus_client reads it."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR") or os.environ.get("prometheus_multiproc_dir") or None


def _encoded(path: str) -> str:
    """``/tmp/my dir`` is ``:tmp:my@20dir``."""
    text = "".join(
        ":" if c == "/" else c if c in _PLAIN else "".join("@%02x" % b for b in c.encode("utf-8", "surrogateescape"))
        for c in path
    )
    if len(text) <= _LONGEST:
        return text
    # FNV-1a, as it needs no module of its own.
    code = 0x6C62272E07BB014262B821756295C58D
    for byte in os.fsencode(path):
        code = ((code ^ byte) * 0x0000000001000000000000000000013B) % (1 << 128)
    return text[: _LONGEST - 34] + "@@%032x" % code


def _decoded(text: str) -> Optional[str]:
    if "@@" in text:
        return None
    out, at = bytearray(), 0
    while at < len(text):
        if text[at] == "@":
            out.append(int(text[at + 1 : at + 3], 16))
            at += 3
        else:
            out += b"/" if text[at] == ":" else text[at].encode()
            at += 1
    return os.fsdecode(bytes(out))


def _identity(path: str) -> str:
    """Which directory it is: its inode and, where the file system tells, when it was made."""
    inode, born = Segment.directory_identity(path)
    return "%x.%x" % (inode, born)


def name(path: str) -> str:
    """The name of the segment that the directory stands for."""
    real = os.path.realpath(path)
    try:
        identity = _identity(real)
    except OSError:
        identity = "none"
    return PREFIX + _encoded(real) + ":" + identity


def split(segment: str) -> Optional[Tuple[Optional[str], str]]:
    """The directory of a segment and which one it was; ``None`` for other segments."""
    if not segment.startswith(PREFIX):
        return None
    text, _, identity = segment[len(PREFIX) :].rpartition(":")
    try:
        return _decoded(text), identity
    except ValueError:
        return None


def is_gone(segment: str) -> bool:
    """Whether the directory that the segment stands for is there no more."""
    found = split(segment)
    if found is None or found[0] is None:
        return False
    try:
        return _identity(found[0]) != found[1]
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False  # who may not look cannot tell


def sweep() -> None:
    """Removes the segments of directories that are gone, if no process has them open for counting."""
    try:
        for segment in Segment.list():
            if is_gone(segment):
                Segment.remove_if_unused(segment)
    except Exception:
        pass  # another user's, or one that is no segment: it can wait
