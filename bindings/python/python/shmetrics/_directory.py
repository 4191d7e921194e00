"""Which segment a PROMETHEUS_MULTIPROC_DIR stands for.

The directory contains a *marker*: a small file that names the segment. All processes that share the
directory find the same name, under any path and in any container. A process that finds no marker,
because the directory or the file was removed, starts a new segment. The name ends in a random
number, so two directories never share a segment. docs/python.md has the rules.
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

#: The beginnings of names: of directories' segments, and of those of ``shmetrics-run``.
PREFIX = "multiproc:"
RUN_PREFIX = "run:"
#: The marker's file name. prometheus_client takes the marker for one of its own files: it shows the
#: note in it, and wipes it with the others.
MARKER = "gauge_max_shmetrics.db"
_NOTE = "shmetrics_segment_not_read"
_HELP = (
    "1: processes count in this segment of shared memory, and prometheus_client does not show it without the package shmetrics. "
    "Wipe the directory to start without it."
)
_MAGIC = b"\nshmetrics-marker 1 "
_LONGEST_MARKER = 4096
#: The characters that a segment's name may contain as they are.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_LONGEST = 189
_HEX = frozenset("0123456789abcdef")
#: How many unused segments of one path stay, as another mount namespace may use them again.
_KEPT = 16

# File systems (by statfs) on which a file's inode, or the device number, may change during use.
_INODES_CHANGE = frozenset((0x65735546, 0x01021997))  # FUSE, 9p
# NFS, CIFS, SMB2, SMB, Ceph, AFS
_DEVICES_CHANGE = frozenset((0x6969, 0xFF534D42, 0xFE534D42, 0x517B, 0x00C36400, 0x5346414F))


_MEMORY = frozenset((0x01021994, 0x858458F6, 0x958458F6))  # tmpfs, ramfs, hugetlbfs


class MarkerError(OSError):
    """The marker exists, but does not say which segment counts."""


def from_environment() -> Optional[str]:
    """The directory in the environment, as prometheus_client reads it."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR") or os.environ.get("prometheus_multiproc_dir") or None


# -- Names ----------------------------------------------------------------------------------------


def _fnv1a(data: bytes, bits: int) -> int:
    """FNV-1a, folded to so many bits. hashlib would be an import at the start of each process."""
    code = 0x6C62272E07BB014262B821756295C58D
    for byte in data:
        code = ((code ^ byte) * 0x0000000001000000000000000000013B) % (1 << 128)
    return (code ^ code >> bits) % (1 << bits) if bits < 128 else code


def _encoded(path: str) -> str:
    """Encodes a path: ``/tmp/my dir`` is ``:tmp:my@20dir``."""
    text = "".join(
        ":" if c == "/" else c if c in _PLAIN else "".join("@%02x" % b for b in c.encode("utf-8", "surrogateescape"))
        for c in path
    )
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST - 34] + "@@%032x" % _fnv1a(os.fsencode(path), 128)


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
    return PREFIX + _encoded(real)


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
        _namespace_cache = (key, "%016x" % _fnv1a(("%s:%d:%d" % (_namespace_text(link.st_ino), root.st_dev, root.st_ino)).encode(), 64))
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


# -- The marker -----------------------------------------------------------------------------------


def _file_numbers(real: str, marker: os.stat_result) -> Tuple[int, int]:
    """The numbers of the marker's file system and file, by which a copy is recognised; 0 where they
    may change.
    """
    try:
        kind = file_system(real) & 0xFFFFFFFF
    except OSError:
        kind = 0
    device = 0 if kind in _DEVICES_CHANGE else os.stat(real).st_dev
    return device, 0 if kind in _INODES_CHANGE else marker.st_ino


def read(real: str) -> Optional[str]:
    """The segment that the directory's marker names; ``None`` without a marker.

    A marker may be a copy, such as one in a layer of a container's image. A copy stands for a
    segment of its own.
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
        found = _parse_marker(data)
        if found is not None:
            name, device, inode = found
            here = _file_numbers(real, status)
            if (device, inode) == here:
                return name.decode()
            parts = split(name.decode())
            assert parts is not None
            code = _fnv1a(b"%s:%d:%d" % (name, *here), 64)
            return "%s:%016x" % (parts.stem, code)
        # On file systems without links, its creator may still be writing.
        time.sleep(0.005 * attempt)
    raise MarkerError(errno.EINVAL, "%s is damaged" % path)


def _parse_marker(data: bytes) -> "Optional[Tuple[bytes, int, int]]":
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


def _marker_content(name: str, seen: Tuple[int, int]) -> bytes:
    """The content in prometheus_client's format: the number of bytes in use, and one value. Our
    line comes after these bytes.
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
    """How many numbers an entry of prometheus_client's files has; 0 if the version is not known.
    Each version fails at the files of the others, so then there is no note.
    """
    module = sys.modules.get("prometheus_client.mmap_dict")
    try:
        # Before 0.16 the key contains no help text.
        if module is None or module.mmap_key.__code__.co_argcount != 5:
            return 0
    except AttributeError:
        return 0
    # From 0.18 on an entry has a time.
    return 2 if hasattr(module, "_pack_two_doubles") else 1


def _create_marker(real: str, stem: str) -> None:
    """Creates the marker. If several processes do so at once, one succeeds, and the others find the
    marker.
    """
    namespace = mount_namespace()
    name = "%s:%s%s" % (stem, os.urandom(8).hex(), "." + namespace if namespace else "")
    path = os.path.join(real, MARKER)
    temporary: Optional[str] = None
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(real, flags & ~os.O_NOFOLLOW | os.O_TMPFILE, 0o600)
    except OSError:
        temporary = os.path.join(real, ".shmetrics-%s" % os.urandom(8).hex())
        descriptor = os.open(temporary, flags | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        content = _marker_content(name, _file_numbers(real, os.fstat(descriptor)))
        _write(descriptor, content)
        directory = os.stat(real)
        if os.geteuid() == 0:
            try:
                os.fchown(descriptor, directory.st_uid, directory.st_gid)
            except OSError:
                pass
        # The name is no secret: a user who may enter the directory may know it.
        os.fchmod(descriptor, 0o644)
        try:
            if temporary is None:
                at = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    # Python follows the link only if a directory's descriptor is given.
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
            _create_in_place(real, path, name)
    finally:
        os.close(descriptor)
        if temporary is not None:
            try:
                os.unlink(temporary)
            except OSError:
                pass


def _create_in_place(real: str, path: str, name: str) -> None:
    """For file systems without links. The marker is empty for a moment; ``read`` waits for its
    content.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return
    try:
        _write(descriptor, _marker_content(name, _file_numbers(real, os.fstat(descriptor))))
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


class Claim(NamedTuple):
    """The segment that a process with this directory counts in."""

    name: str
    #: Why there is no marker. The name is then made of the directory's path.
    problem: Optional[str]
    #: The segment is another process'; this process must not create it.
    is_others: bool = False


def _without_marker(real: str, stem: str) -> str:
    """The name for a directory that takes no marker. Processes of one mount namespace agree on it.
    """
    namespace = mount_namespace()
    return "%s:%s%s" % (stem, _identity_without_marker(namespace, _numbers(real), stem), "." + namespace if namespace else "")


def _identity_without_marker(namespace: str, numbers: Tuple[int, int], stem: str) -> str:
    return "%016x" % _fnv1a(("%s:%d:%d:%s" % (namespace, *numbers, stem)).encode(), 64)


def _numbers(real: str) -> Tuple[int, int]:
    try:
        status = os.stat(real)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def same_directory(path: str) -> "List[Tuple[str, bool]]":
    """Segments of a directory that takes no marker, created by processes that see the directory
    from other mount namespaces or under other paths; and whether a process counts in each. The
    newest is the first.

    The identity in such a name is made of the directory's device and inode, which all these
    processes see, and of the other parts of the name.
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
        if parts.identity == _identity_without_marker(parts.namespace, numbers, parts.stem):
            found.append((segment, is_in_use(segment)))
    return sorted(found, key=lambda each: _created_at(each[0]), reverse=True)


def is_in_use(segment: str) -> bool:
    """Whether a process counts in the segment. False if this process may not know."""
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
    return max(found, key=_created_at, default=None)


def _created_at(segment: str) -> float:
    try:
        return os.lstat(file_of(segment)).st_mtime
    except OSError:
        return 0.0


def file_of(segment: str) -> str:
    return os.path.join(os.environ.get("SHMETRICS_DIR") or "/dev/shm", "shmetrics-" + segment)


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
            _create_marker(real, stem)
        except OSError as error:
            return _claim_without_marker(real, stem, "%s: %s" % (error.filename or real, error.strerror))
    return _claim_without_marker(real, stem, "%s keeps being wiped" % real)


def _claim_without_marker(real: str, stem: str, problem: str) -> Claim:
    for segment, used in same_directory(real):
        if used:
            return Claim(segment, problem, is_others=True)
    return Claim(_without_marker(real, stem), problem)


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
    own = _without_marker(real, stem)
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
    return parts is not None and parts.identity == _identity_without_marker(parts.namespace, numbers, parts.stem)


def side_segments(name: str) -> "List[str]":
    """Side segments of a segment: of users who may not write to it."""
    return [segment for segment in _segments_with_stem(name.rpartition(":")[0]) if segment.startswith(name + ".u")]


# -- Who may use it -------------------------------------------------------------------------------


def access_options(path: str, name: str) -> "Dict[str, Any]":
    """Options for opening a segment: owner, group, mode and trusted users. The directory decides,
    unless the environment does.

    People set the owner and the mode of the directory so that all processes may count.
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
            # The permissions are for a group that this process cannot give to a file.
            given["mode"] &= ~0o060
    trusted: "List[Any]" = [*_trusted(), status.st_uid]
    if shared and bits & 0o022:
        # A user who may write into the directory could also remove its files.
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
    """Whether the owner of a further segment of the directory may write into the directory, or is
    named by SHMETRICS_TRUST.
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


def is_orphaned(segment: str) -> bool:
    """Whether the directory of the segment is gone or was wiped. Only processes in the mount
    namespace of the segment's creator can tell.
    """
    parts = split(segment)
    if parts is None or not parts.namespace or parts.namespace != mount_namespace() or not segment.startswith(PREFIX):
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
        # The directory takes no marker, or was wiped.
        return first != _without_marker(real, parts.stem)
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
            return "%s: %s" % (os.path.dirname(name), error.strerror)
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
    unused.sort(key=_created_at)
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
