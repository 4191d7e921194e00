"""The marker: the file in a directory that names the segment."""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
import time
from typing import Optional, Tuple

from .._native import file_system
from .names import fnv1a, mount_namespace, split

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

# File systems (by statfs) on which a file's inode, or the device number, may change during use.
_INODES_CHANGE = frozenset((0x65735546, 0x01021997))  # FUSE, 9p
# NFS, CIFS, SMB2, SMB, Ceph, AFS
_DEVICES_CHANGE = frozenset((0x6969, 0xFF534D42, 0xFE534D42, 0x517B, 0x00C36400, 0x5346414F))


class MarkerError(OSError):
    """The marker exists, but does not say which segment counts."""


def numbers_are_stable(real: str) -> bool:
    """Whether the device and inode of the directory tell it from all others."""
    kind = file_system(real) & 0xFFFFFFFF
    return kind not in _DEVICES_CHANGE and kind not in _INODES_CHANGE


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
            code = fnv1a(b"%s:%d:%d" % (name, *here), 64)
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


def create_marker(real: str, stem: str) -> None:
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
