"""Who may use the segment of a directory: permissions, owners and trusted users."""

from __future__ import annotations

import os
import stat
from typing import Any, Dict, List

from .names import file_of, split


def may_write(path: str) -> bool:
    """Whether this process may create files in the directory."""
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.W_OK | os.X_OK, effective_ids=effective)


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
