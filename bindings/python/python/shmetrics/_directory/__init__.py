"""Which segment a PROMETHEUS_MULTIPROC_DIR stands for.

The directory contains a *marker*: a small file that names the segment. All processes that share the
directory find the same name, under any path and in any container. A process that finds no marker,
because the directory or the file was removed, starts a new segment. The name ends in a random
number, so two directories never share a segment. docs/python.md has the rules.
"""

from __future__ import annotations

import os
from typing import Optional

from .access import access_options, is_trusted, may_add, may_write
from .choice import (
    Claim,
    claim,
    find,
    identity_without_marker,
    is_in_use,
    is_without_marker,
    same_directory,
    side_segments,
    without_marker,
)
from .cleanup import invalid_name_reason, is_orphaned, remove_unused, sweep
from .marker import MARKER, MarkerError, read
from .names import PREFIX, RUN_PREFIX, decoded, encoded, file_of, fnv1a, mount_namespace, split, stem_of

__all__ = [
    "Claim",
    "MARKER",
    "MarkerError",
    "PREFIX",
    "RUN_PREFIX",
    "access_options",
    "claim",
    "decoded",
    "encoded",
    "file_of",
    "find",
    "fnv1a",
    "from_environment",
    "identity_without_marker",
    "invalid_name_reason",
    "is_in_use",
    "is_orphaned",
    "is_trusted",
    "is_without_marker",
    "may_add",
    "may_write",
    "mount_namespace",
    "read",
    "remove_unused",
    "same_directory",
    "side_segments",
    "split",
    "stem_of",
    "sweep",
    "without_marker",
]


def from_environment() -> Optional[str]:
    """The directory in the environment, as prometheus_client reads it."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR") or os.environ.get("prometheus_multiproc_dir") or None
