"""PROMETHEUS_MULTIPROC_DIR, and the segment that counts instead of its files.

The directory holds a *marker*: a small file that names the segment. Whoever sees the directory,
under whatever path and in whichever container, finds the same name; whoever removes the marker,
with the directory or in it, starts anew. The name ends in a random number, so two directories never
have one segment. docs/python.md has the rules.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ._native import Segment, file_system

#: Of segments of directories, and of those of ``shmetrics-run``.
PREFIX = "multiproc:"
RUN_PREFIX = "run:"
#: The marker. prometheus_client takes it for one of its own files: it shows what is in it, a note,
#: and wipes it with the others.
MARKER = "gauge_max_shmetrics.db"
_NOTE = "shmetrics_segment_not_read"
_HELP = (
    "1: processes count in this segment of shared memory, and prometheus_client does not show it without the package shmetrics. "
    "Wipe the directory to start without it."
)
_MAGIC = b"\nshmetrics-marker 1 "
_LONGEST_MARKER = 4096
#: What a segment's name may have.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST = 189
_HEX = frozenset("0123456789abcdef")
#: Unused segments of one directory's path that other mount namespaces may want back.
_KEPT = 16

# Kinds of file systems (statfs) on which the numbers of files, or of the file system, may change
# while they are in use.
_INODES_CHANGE = frozenset((0x65735546, 0x01021997))  # FUSE, 9p
# NFS, CIFS, SMB2, SMB, Ceph, AFS
_DEVICES_CHANGE = frozenset((0x6969, 0xFF534D42, 0xFE534D42, 0x517B, 0x00C36400, 0x5346414F))


_MEMORY = frozenset((0x01021994, 0x858458F6, 0x958458F6))  # tmpfs, ramfs, hugetlbfs


class MarkerError(OSError):
    """The marker is there, and does not say which segment counts."""


def from_environment() -> Optional[str]:
    """The directory that the environment names, as prometheus_client reads it."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR") or os.environ.get("prometheus_multiproc_dir") or None


# -- Names ----------------------------------------------------------------------------------------


def _code(data: bytes, bits: int) -> int:
    """FNV-1a, as it needs no module of its own, folded."""
    code = 0x6C62272E07BB014262B821756295C58D
    for byte in data:
        code = ((code ^ byte) * 0x0000000001000000000000000000013B) % (1 << 128)
    return (code ^ code >> bits) % (1 << bits) if bits < 128 else code


def _encoded(path: str) -> str:
    """``/tmp/my dir`` is ``:tmp:my@20dir``."""
    text = "".join(
        ":" if c == "/" else c if c in _PLAIN else "".join("@%02x" % b for b in c.encode("utf-8", "surrogateescape"))
        for c in path
    )
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST - 34] + "@@%032x" % _code(os.fsencode(path), 128)


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


class Name(NamedTuple):
    """The parts of a segment's name."""

    #: Stays the same over restarts and wipes.
    stem: str
    #: Which directory it is.
    identity: str
    #: From where the directory was seen when the name was made: see ``viewpoint``. Empty where
    #: nobody knows.
    view: str
    #: Of a segment beside the first one: whose it is, as ``u1000``.
    user: str


def split(segment: str) -> Optional[Name]:
    """The parts of the name of a directory's segment; ``None`` for other segments."""
    if not segment.startswith((PREFIX, RUN_PREFIX)):
        return None
    stem, _, rest = segment.rpartition(":")
    identity, _, rest = rest.partition(".")
    view, _, user = rest.partition(".")
    if len(identity) != 16 or not _HEX.issuperset(identity) or not _HEX.issuperset(view):
        return None
    return Name(stem, identity, view, user)


def stem_of(real: str) -> str:
    return PREFIX + _encoded(real)


_view: "Tuple[Any, str]" = (None, "")


def viewpoint() -> str:
    """From where this process sees paths: its mount namespace and its root, as a number."""
    global _view
    try:
        link = os.stat("/proc/self/ns/mnt")
        root = os.stat("/")
    except OSError:
        return ""
    key = (link.st_ino, root.st_dev, root.st_ino)
    if _view[0] != key:
        _view = (key, "%016x" % _code(("%s:%d:%d" % (_namespace(link.st_ino), root.st_dev, root.st_ino)).encode(), 64))
    return _view[1]


def _namespace(inode: int) -> str:
    """The mount namespace. Its inode goes to another one after its end; from Linux 6.11 on there is
    a number that does not.
    """
    try:
        from fcntl import ioctl

        with open("/proc/self/ns/mnt", "rb") as namespace:
            # NS_GET_MNTNS_ID
            return "u%d" % struct.unpack("Q", ioctl(namespace, 0x8008B705, bytes(8)))[0]
    except (OSError, ImportError):
        return "i%d" % inode


# -- The marker -----------------------------------------------------------------------------------


def _seen(real: str, marker: os.stat_result) -> Tuple[int, int]:
    """The numbers that tell this marker from a copy of it: those of its file system and of its
    file; 0 where they may change.
    """
    try:
        kind = file_system(real) & 0xFFFFFFFF
    except OSError:
        kind = 0
    device = 0 if kind in _DEVICES_CHANGE else os.stat(real).st_dev
    return device, 0 if kind in _INODES_CHANGE else marker.st_ino


def read(real: str) -> Optional[str]:
    """The segment that the directory's marker names; ``None`` without a marker.

    A marker that came with a copy of the directory, such as a layer of a container's image, was
    made elsewhere: there, it names a segment of its own.
    """
    path = os.path.join(real, MARKER)
    for attempt in range(10):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise MarkerError(error.errno, "%s cannot be read: %s" % (path, error.strerror)) from None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise MarkerError(errno.EINVAL, "%s is no file" % path)
            data = os.read(descriptor, _LONGEST_MARKER)
        finally:
            os.close(descriptor)
        found = _parsed(data)
        if found is not None:
            name, device, inode = found
            here = _seen(real, status)
            if (device, inode) == here:
                return name.decode()
            parts = split(name.decode())
            assert parts is not None
            code = _code(b"%s:%d:%d" % (name, *here), 64)
            return "%s:%016x" % (parts.stem, code)
        # Where files cannot be linked, its maker may be at work.
        time.sleep(0.005 * attempt)
    raise MarkerError(errno.EINVAL, "%s is damaged" % path)


def _parsed(data: bytes) -> "Optional[Tuple[bytes, int, int]]":
    try:
        _, found, line = data.rpartition(_MAGIC)
        if not found or not line.endswith(b"\n"):
            return None
        name, device, inode = line.split()
        parts = split(name.decode())
        if parts is None or "/" in parts.stem or parts.user:
            return None
        return name, int(device), int(inode)
    except ValueError:
        return None


def _content(name: str, seen: Tuple[int, int]) -> bytes:
    """As a file of prometheus_client: how much of it is used, and a value. What is behind that is
    ours.
    """
    parts = split(name)
    assert parts is not None
    value = b""
    numbers = _note_values()
    if numbers:
        labels = '{"segment": "%s"}' % parts.stem
        key = ('["%s", "%s", %s, "%s"]' % (_NOTE, _NOTE, labels, _HELP)).encode()
        key += b" " * (8 - (len(key) + 4) % 8)
        value = struct.pack("i", len(key.rstrip())) + key + struct.pack("dd", 1.0, 0.0)[: 8 * numbers]
    head = struct.pack("ii", 8 + len(value), 0)
    return head + value + _MAGIC + b"%s %d %d\n" % (name.encode(), *seen)


def _note_values() -> int:
    """How many numbers an entry of prometheus_client's files has. Each version fails at the files
    of others: where it is not known which one reads, there is no note.
    """
    module = sys.modules.get("prometheus_client.mmap_dict")
    try:
        # Before 0.16 there is no help in the key.
        if module is None or module.mmap_key.__code__.co_argcount != 5:
            return 0
    except AttributeError:
        return 0
    # From 0.18 on, with a time.
    return 2 if hasattr(module, "_pack_two_doubles") else 1


def _make(real: str, stem: str) -> None:
    """Puts a marker into the directory. Of several processes that do so at a time, one succeeds;
    for the others it is there.
    """
    view = viewpoint()
    name = "%s:%s%s" % (stem, os.urandom(8).hex(), "." + view if view else "")
    path = os.path.join(real, MARKER)
    temporary: Optional[str] = None
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(real, flags & ~os.O_NOFOLLOW | os.O_TMPFILE, 0o600)
    except OSError:
        temporary = os.path.join(real, ".shmetrics-%s" % os.urandom(8).hex())
        descriptor = os.open(temporary, flags | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        content = _content(name, _seen(real, os.fstat(descriptor)))
        _write(descriptor, content)
        directory = os.stat(real)
        if os.geteuid() == 0:
            try:
                os.fchown(descriptor, directory.st_uid, directory.st_gid)
            except OSError:
                pass
        # Whoever comes into the directory may know the name: it is no secret.
        os.fchmod(descriptor, 0o644)
        try:
            if temporary is None:
                at = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    # Only with a descriptor of a directory does Python have the link followed.
                    os.link("/proc/self/fd/%d" % descriptor, MARKER, dst_dir_fd=at, follow_symlinks=True)
                finally:
                    os.close(at)
            else:
                os.link(temporary, path)
        except FileExistsError:
            return
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
                raise
            _make_in_place(real, path, name)
    finally:
        os.close(descriptor)
        if temporary is not None:
            try:
                os.unlink(temporary)
            except OSError:
                pass


def _make_in_place(real: str, path: str, name: str) -> None:
    """For file systems without links: for a moment the marker is there and empty, which ``read``
    waits out.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return
    try:
        _write(descriptor, _content(name, _seen(real, os.fstat(descriptor))))
        os.fchmod(descriptor, 0o644)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    if os.write(descriptor, content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- Which segment --------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a process counts that is given a directory."""

    name: str
    #: Why there is no marker: then the name is made of the directory's path, and processes
    #: elsewhere do not find it.
    problem: Optional[str]
    #: The segment is another process'; this one must not make it.
    is_others: bool = False


def _without_marker(real: str, stem: str) -> str:
    """The name in a directory that takes no marker: processes of this mount namespace agree on it."""
    view = viewpoint()
    return "%s:%s%s" % (stem, _identity_without_marker(view, _numbers(real), stem), "." + view if view else "")


def _identity_without_marker(view: str, numbers: Tuple[int, int], stem: str) -> str:
    return "%016x" % _code(("%s:%d:%d:%s" % (view, *numbers, stem)).encode(), 64)


def _numbers(real: str) -> Tuple[int, int]:
    try:
        status = os.stat(real)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def same_directory(path: str) -> "List[Tuple[str, bool]]":
    """Segments of a directory that takes no marker, made by processes that see the directory from
    other mount namespaces or under other paths; and whether a process counts in each. The newest is
    the first.

    The identity in such a name is made of the directory's numbers, which all of them see, and of
    what else is in the name.
    """
    real = os.path.realpath(path)
    numbers = _numbers(real)
    try:
        kind = file_system(real) & 0xFFFFFFFF
        if kind in _DEVICES_CHANGE or kind in _INODES_CHANGE or read(real) is not None:
            return []
        segments = Segment.list()
    except OSError:
        return []
    found = []
    for segment in segments:
        parts = split(segment)
        if parts is None or parts.user:
            continue
        if parts.identity == _identity_without_marker(parts.view, numbers, parts.stem):
            found.append((segment, is_in_use(segment)))
    return sorted(found, key=lambda each: _made(each[0]), reverse=True)


def is_in_use(segment: str) -> bool:
    """Whether a process counts in the segment; no, where this process may not know."""
    try:
        return Segment.is_in_use(segment)
    except (OSError, ValueError):
        return False


def may_write(path: str) -> bool:
    """Whether this process may create files in the directory."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK | os.X_OK, effective_ids=effective)


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


def _listed(stem: str) -> "List[str]":
    """The segments with this stem."""
    try:
        segments = [segment for segment in Segment.list() if segment.startswith(stem + ":")]
    except OSError:
        return []
    return [segment for segment in segments if getattr(split(segment), "stem", None) == stem]


def _in_use(stem: str) -> Optional[str]:
    """The segment that processes count in which have the directory from before its marker was
    wiped.
    """
    view = viewpoint()
    found = []
    for segment in _listed(stem):
        parts = split(segment)
        if parts is None or parts.view != view or not view:
            continue
        if is_in_use(segment):
            found.append(segment[: -len(parts.user) - 1] if parts.user else segment)
    return max(found, key=_made, default=None)


def _made(segment: str) -> float:
    try:
        return os.lstat(file_of(segment)).st_mtime
    except OSError:
        return 0.0


def file_of(segment: str) -> str:
    return os.path.join(os.environ.get("SHMETRICS_DIR") or "/dev/shm", "shmetrics-" + segment)


def claim(path: str, stem: Optional[str] = None) -> Place:
    """The segment to count in."""
    real = os.path.realpath(path)
    stem = stem if stem is not None else stem_of(real)
    for _ in range(20):
        try:
            named = read(real)
        except MarkerError as error:
            if error.errno != errno.EINVAL or not _discarded(real):
                return _claim_without_marker(real, stem, str(error.strerror))
            continue
        if named is not None:
            return Place(named, None)
        others = _in_use(stem)
        if others is not None:
            return Place(others, None, is_others=True)
        try:
            _make(real, stem)
        except OSError as error:
            return _claim_without_marker(real, stem, "%s: %s" % (error.filename or real, error.strerror))
    return _claim_without_marker(real, stem, "%s keeps being wiped" % real)


def _claim_without_marker(real: str, stem: str, problem: str) -> Place:
    for segment, used in same_directory(real):
        if used:
            return Place(segment, problem, is_others=True)
    return Place(_without_marker(real, stem), problem)


def _discarded(real: str) -> bool:
    """Removes a marker that says nothing, as a full disk leaves it behind."""
    try:
        os.unlink(os.path.join(real, MARKER))
        return True
    except OSError:
        return False


def find(path: str, counted: Optional[str] = None) -> Tuple[str, bool]:
    """The segment to read, and whether it must be there: the process that made the marker has
    counted in it. ``counted``: the segment that this process counts in for the directory.

    An empty page is right where no process has counted. That is known where this process could put
    a marker into the directory, as then the others could too. Elsewhere the page is an error.
    """
    real = os.path.realpath(path)
    named = read(real)
    if named is not None:
        return named, True
    if counted is not None and os.path.lexists(file_of(counted)):
        return counted, False
    stem = stem_of(real)
    own = _without_marker(real, stem)
    used = _in_use(stem)
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
    """Whether the name is one that processes make for this directory when it takes no marker."""
    parts = split(segment)
    numbers = _numbers(os.path.realpath(path))
    return parts is not None and parts.identity == _identity_without_marker(parts.view, numbers, parts.stem)


def others(name: str) -> "List[str]":
    """Segments beside this one: of users that may not write to it, and may write into the
    directory.
    """
    return [segment for segment in _listed(name.rpartition(":")[0]) if segment.startswith(name + ".u")]


# -- Who may use it -------------------------------------------------------------------------------


def access(path: str, name: str) -> "Dict[str, Any]":
    """A new segment's owner, group and mode, and whose segments are trusted: as the directory says,
    unless the environment does.

    People change the owner and the mode of the directory so that all processes may count in it.
    """
    given: "Dict[str, Any]" = {}
    try:
        status = os.stat(path)
    except OSError:
        return given
    bits = stat.S_IMODE(status.st_mode)
    # In a sticky directory users do not trust each other.
    shared = not bits & stat.S_ISVTX
    if not os.environ.get("SHMETRICS_MODE"):
        mode = 0o600
        for shift in (3, 0):
            if bits >> shift & 5 == 5:
                mode |= (6 if bits >> shift & 2 and shared else 4) << shift
        given["mode"] = mode
    if os.geteuid() == 0 and not os.environ.get("SHMETRICS_OWNER") and status.st_uid != 0:
        given["owner"] = status.st_uid
    if not os.environ.get("SHMETRICS_GROUP") and status.st_gid != os.getegid():
        if os.geteuid() == 0 or status.st_gid in os.getgroups():
            given["group"] = status.st_gid
        elif "mode" in given:
            # The bits are for a group that this process cannot name.
            given["mode"] &= ~0o060
    trusted: "List[Any]" = [*_trusted(), status.st_uid]
    if shared and bits & 0o022:
        # Whoever writes into the directory could as well remove what is in it.
        try:
            file = os.lstat(file_of(name))
            if bits & 0o002 or file.st_gid == status.st_gid:
                trusted.append(file.st_uid)
        except OSError:
            pass
    given["trust"] = trusted
    return given


def _trusted() -> "List[str]":
    """The users that SHMETRICS_TRUST names."""
    return [user for user in os.environ.get("SHMETRICS_TRUST", "").replace(" ", "").split(",") if user]


def is_trusted(uid: int) -> bool:
    """Whether SHMETRICS_TRUST names the user, by number or by name."""
    users = _trusted()
    if not users or str(uid) in users:
        return bool(users)
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name in users
    except (ImportError, KeyError):
        return False


def may_add(path: str, segment: str) -> bool:
    """Whether a further segment of the directory is of a user who may write into the directory, or
    whom SHMETRICS_TRUST names.
    """
    parts = split(segment)
    try:
        directory, file = os.stat(path), os.lstat(file_of(segment))
    except OSError:
        return False
    if parts is None or not stat.S_ISREG(file.st_mode) or parts.user not in ("", "u%d" % file.st_uid):
        return False
    bits = stat.S_IMODE(directory.st_mode)
    if file.st_uid in (0, os.geteuid(), directory.st_uid) or bits & 0o002 or is_trusted(file.st_uid):
        return True
    return bool(bits & 0o020) and file.st_gid == directory.st_gid


# -- What is left over ----------------------------------------------------------------------------


def is_gone(segment: str) -> bool:
    """Whether the directory that the segment stands for is there no more, or was wiped. Only who
    sees the path as the maker of the segment did can tell.
    """
    parts = split(segment)
    if parts is None or not parts.view or parts.view != viewpoint() or not segment.startswith(PREFIX):
        return False
    try:
        real = _decoded(parts.stem[len(PREFIX) :])
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
        return False  # who may not look cannot tell
    first = segment[: -len(parts.user) - 1] if parts.user else segment
    if named is None:
        # Without a marker, or wiped.
        return first != _without_marker(real, parts.stem)
    return first != named


def why_no_name(name: str) -> Optional[str]:
    """Why a segment cannot be called so; ``None`` if it can."""
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
            return "%s: %s" % (os.path.dirname(name), error.strerror)
    return None


def sweep(kept: str = "") -> None:
    """Removes segments that no process has open for counting: those of directories that are gone,
    and, of the unused ones with the same stem as ``kept``, whoever made them, all but the newest.
    """
    stem = kept.rpartition(":")[0]
    try:
        segments = Segment.list()
    except Exception:
        return
    unused = []
    for segment in segments:
        # One that cannot be looked at or removed keeps no other one.
        try:
            parts = split(segment)
            if parts is None or segment == kept or segment.startswith(kept + ".u"):
                continue
            if is_gone(segment):
                remove_unused(segment)
            elif parts.stem == stem and not Segment.is_in_use(segment):
                unused.append(segment)
        except Exception:
            continue
    unused.sort(key=_made)
    for segment in unused[:-_KEPT]:
        try:
            remove_unused(segment)
        except Exception:
            continue


def remove_unused(segment: str) -> None:
    """Removes a segment that no process has open for counting. Root does so with other users' too,
    though it trusts them not.
    """
    try:
        Segment.remove_if_unused(segment)
    except PermissionError:
        if os.geteuid() != 0 or Segment.is_in_use(segment):
            raise
        Segment.remove(segment)
