"""Names of segments: the encoded path of a directory, a number, and where the name was made."""

from __future__ import annotations

import os
import struct
from typing import Any, NamedTuple, Optional, Tuple

#: The beginnings of names: of directories' segments, and of those of ``shmetrics-run``.
PREFIX = "multiproc:"
RUN_PREFIX = "run:"
#: The characters that a segment's name may contain as they are.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST = 189
_HEX = frozenset("0123456789abcdef")


def fnv1a(data: bytes, bits: int) -> int:
    """FNV-1a, folded to so many bits. hashlib would be an import at the start of each process."""
    code = 0x6C62272E07BB014262B821756295C58D
    for byte in data:
        code = ((code ^ byte) * 0x0000000001000000000000000000013B) % (1 << 128)
    return (code ^ code >> bits) % (1 << bits) if bits < 128 else code


def encoded(path: str) -> str:
    """Encodes a path: ``/tmp/my dir`` is ``:tmp:my@20dir``."""
    text = "".join(
        ":" if c == "/" else c if c in _PLAIN else "".join("@%02x" % b for b in c.encode("utf-8", "surrogateescape"))
        for c in path
    )
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST - 34] + "@@%032x" % fnv1a(os.fsencode(path), 128)


def decoded(text: str) -> Optional[str]:
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


class Name(NamedTuple):
    """The parts of a segment's name."""

    #: The encoded path, which stays the same over restarts and wipes.
    stem: str
    #: A number that tells directories with one path apart.
    identity: str
    #: The mount namespace in which the name was made: see ``mount_namespace``. Empty if unknown.
    namespace: str
    #: Of a side segment: its user, such as ``u1000``.
    user: str


def split(segment: str) -> Optional[Name]:
    """The parts of the name of a directory's segment; ``None`` for other segments."""
    if not segment.startswith((PREFIX, RUN_PREFIX)):
        return None
    stem, _, rest = segment.rpartition(":")
    identity, _, rest = rest.partition(".")
    namespace, _, user = rest.partition(".")
    if len(identity) != 16 or not _HEX.issuperset(identity) or not _HEX.issuperset(namespace):
        return None
    return Name(stem, identity, namespace, user)


def stem_of(real: str) -> str:
    return PREFIX + encoded(real)


_namespace_cache: "Tuple[Any, str]" = (None, "")


def mount_namespace() -> str:
    """A number for this process' mount namespace and root directory."""
    global _namespace_cache
    try:
        link = os.stat("/proc/self/ns/mnt")
        root = os.stat("/")
    except OSError:
        return ""
    key = (link.st_ino, root.st_dev, root.st_ino)
    if _namespace_cache[0] != key:
        _namespace_cache = (key, "%016x" % fnv1a(("%s:%d:%d" % (_namespace_text(link.st_ino), root.st_dev, root.st_ino)).encode(), 64))
    return _namespace_cache[1]


def _namespace_text(inode: int) -> str:
    """The mount namespace as a text. From Linux 6.11 on it has a unique number. Its inode is used
    again after its end.
    """
    try:
        from fcntl import ioctl

        with open("/proc/self/ns/mnt", "rb") as namespace:
            # NS_GET_MNTNS_ID
            return "u%d" % struct.unpack("Q", ioctl(namespace, 0x8008B705, bytes(8)))[0]
    except (OSError, ImportError):
        return "i%d" % inode


def file_of(segment: str) -> str:
    return os.path.join(os.environ.get("SHMETRICS_DIR") or "/dev/shm", "shmetrics-" + segment)
