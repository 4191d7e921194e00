"""Small programs that count in a directory, as other users and in mount namespaces."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT, clean_environment, in_mount_namespace, run, works

NOBODY = 65534

# Increments a counter by the first argument. Prints the counter on the page, and all warnings.
COUNT = """
import sys, warnings
warnings.simplefilter("always")
said = []
warnings.showwarning = lambda message, category, *_: said.append(str(message)) if category.__name__ == "SegmentWarning" else None
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
def page():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry).decode()
if int(sys.argv[1]):
    Counter("c", "help").inc(int(sys.argv[1]))
try:
    found = [line for line in page().splitlines() if line.startswith("c_total ")]
    print(found[0].split()[1] if found else "nothing")
except OSError as error:
    print(type(error).__name__, error)
for message in said:
    print("warned:", message)
"""
# The same, and stays: a line on standard input makes it count once more and print.
STAYS = COUNT + """
sys.stdout.flush()
for line in sys.stdin:
    Counter("d", "help", registry=None).inc()
    print([line for line in page().splitlines() if line.startswith(("c_total ", "d_total "))], flush=True)
"""


def counts(
    directory: Path, shm: Path, times: int = 1, user: int = 0, before: str = "", code: str = COUNT, **more: str
) -> str:
    """What the program prints. `before`: a shell's commands, in a mount namespace of the program's
    own.
    """
    environment = clean_environment(shm, PROMETHEUS_MULTIPROC_DIR=str(directory), **more)
    done = run(command(times, user, before, code), environment, "/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def command(times: int = 1, user: int = 0, before: str = "", code: str = COUNT) -> list[str]:
    program = [sys.executable, "-c", code, str(times)]
    if user:
        program = as_user(user, *program)
    return in_mount_namespace(before, *program) if before else program


def as_user(user: int, *program: str) -> list[str]:
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *program]


def and_a_child(setup: str = "pass") -> str:
    """Code behind COUNT: a process that counts 1 starts another one, which counts 2."""
    child = f"subprocess.run([sys.executable, '-c', {COUNT!r}, '2'])"
    return f"\nif sys.argv[1] == '1': sys.stdout.flush(); import os, subprocess; {setup}; {child}"


class Stays:
    """A program that goes on counting."""

    def __init__(self, directory: Path, shm: Path, times: int = 1, user: int = 0, before: str = "") -> None:
        self._process = subprocess.Popen(
            command(times, user, before, STAYS),
            env=clean_environment(shm, PROMETHEUS_MULTIPROC_DIR=str(directory)),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.first = self._process.stdout.readline().strip()

    def __enter__(self) -> Stays:
        return self

    def page(self) -> str:
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


_IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(
    not (_IS_ROOT and works(*as_user(NOBODY, sys.executable, "-c", "import prometheus_client, shmetrics"))),
    reason="needs root, and a Python that another user may run",
)


def overlay(lower: Path, upper: Path, at: Path) -> str:
    """A shell's command that mounts a container's root file system."""
    for part in ("up", "work"):
        (upper / part).mkdir(parents=True, exist_ok=True)
    return f"mount -t overlay overlay -o lowerdir={lower},upperdir={upper}/up,workdir={upper}/work {at}"


_OVERLAY = "mount -t tmpfs none /mnt; mkdir /mnt/l /mnt/u /mnt/w /mnt/m; "
_OVERLAY += "mount -t overlay overlay -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/m"
needs_overlay = pytest.mark.skipif(
    not (_IS_ROOT and works(*in_mount_namespace(_OVERLAY, "true"))), reason="overlayfs cannot be mounted here"
)


def _closed(path: Path) -> Path | None:
    """What keeps other users from a path."""
    return next((part for part in reversed((path, *path.parents)) if not part.stat().st_mode & 0o001), None)


def for_others() -> list[str]:
    """The commands before a server whose workers are another user. If that user cannot reach
    Python, as in root's home, the server has a mount namespace in which the user can.
    """
    base = Path(sys.base_prefix)
    closed = _closed(base)
    if closed is None:
        return []
    return in_mount_namespace(
        f"mount -t tmpfs none /mnt; mkdir /mnt/python; mount --bind {base} /mnt/python; mount -t tmpfs -o mode=755 none {closed}; "
        f"mkdir -p {base}; mount --bind /mnt/python {base}"
    )


def _may_be_given_away() -> bool:
    program = as_user(NOBODY, sys.executable, "-c", "import shmetrics, contextvars")
    return _IS_ROOT and _closed(ROOT) is None and works(*for_others(), *program)


needs_workers_of_others = pytest.mark.skipif(
    not _may_be_given_away(),
    reason="needs root, and a project and a Python that another user can be given",
)
