"""What all tests here share: a place in shared memory of their own, environments, processes with an
end, HTTP.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "python"
SDISTS = Path(os.environ.get("SHMETRICS_SDISTS", ROOT / "target/python-tests" / "{}.{}".format(*sys.version_info) / "sdists"))
BIN = Path(sys.executable).parent
#: Ends what hangs. Nothing that works takes so long, on a loaded machine either.
WATCHDOG_SECONDS = 300
LONG = bool(os.environ.get("SHMETRICS_LONG"))

# Variables that tests set, and must not inherit.
_OURS = ("SHMETRICS_", "PROMETHEUS_", "prometheus_multiproc_dir", "PYTHONPATH", "GUNICORN_", "COV_", "PYTEST_")
_KEPT = ("SHMETRICS_LONG",)


def clean_environment(shm: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in _KEPT or not k.startswith(_OURS)}
    return kept | {"SHMETRICS_DIR": str(shm), "PYTHONDONTWRITEBYTECODE": "1"} | more


def multiprocess_environment(shm: Path, directory: Path, stock: bool = False, **more: str) -> dict[str, str]:
    """For prometheus_client in multiprocess mode, with the drop-in by its hook, or as it is."""
    directory.mkdir(exist_ok=True)
    switch = {"SHMETRICS_PYTHON": "0"} if stock else {}
    return clean_environment(shm, PROMETHEUS_MULTIPROC_DIR=str(directory), **switch, **more)


def die_with_the_parent() -> None:
    """A test that is killed leaves no server. For `preexec_fn`."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def run(command: list, environment: dict[str, str] | None = None, cwd: Path | str | None = None) -> subprocess.CompletedProcess:
    """Runs a program to its end. The caller checks its exit status."""
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=WATCHDOG_SECONDS)


def python(code: str, environment: dict[str, str], *arguments: str, cwd: Path | str | None = None) -> subprocess.CompletedProcess:
    return run([sys.executable, "-X", "faulthandler", "-c", code, *arguments], environment, cwd)


@contextlib.contextmanager
def started(command: list, environment: dict[str, str], log: Path, cwd: Path | None = None):
    """A program that writes its output into `log`. At the end it is killed, with the session that it
    has to itself.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=die_with_the_parent,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def in_mount_namespace(mounts: str, *command: str) -> list[str]:
    """The command in a mount namespace of its own, after these commands of a shell."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'set -e; {mounts}; exec "$@"', "sh", *command]


def works(*command: str) -> bool:
    try:
        return run(list(command)).returncode == 0
    except OSError:
        return False


needs_mounts = pytest.mark.skipif(
    not works(*in_mount_namespace("mount -t tmpfs none /mnt", "true")), reason="mount namespaces are not permitted here"
)


def wait_until(condition: Callable[[], object], what: str, seconds: float = WATCHDOG_SECONDS):
    """Its first true answer. Errors of connections that are not there yet are waited out."""
    deadline = time.monotonic() + seconds
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (OSError, http.client.HTTPException) as error:
            last = error
        time.sleep(0.03)
    raise AssertionError(f"{what}: not within {seconds} s; last: {last!r}")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(port: int, path: str, timeout: float = WATCHDOG_SECONDS, **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace"), dict(answer.getheaders())
    finally:
        connection.close()


Samples = dict[tuple[str, frozenset], float]


def samples(page: str) -> Samples:
    """Of a text page; our own families, which describe the segment, are left out. A series that is
    there twice is an error.
    """
    found: Samples = {}
    for family in text_string_to_metric_families(page):
        if family.name.startswith("shmetrics_"):
            continue
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} is on the page twice"
            found[key] = sample.value
    return found


def total(of: Samples, name: str, /, **labels: str) -> float:
    """The sum over all series of a name that have these labels."""
    return sum(value for (n, has), value in of.items() if n == name and labels.items() <= dict(has).items())


def children(pid: int) -> list[int]:
    """Living ones; a zombie is none."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in found if state(int(child)) not in ("Z", "")]


def descendants(pid: int) -> list[int]:
    found = children(pid)
    for child in list(found):
        found += descendants(child)
    return found


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Shm:
    """A directory for segments. Nothing but segments may be in it, and nothing at all outside."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="python-test.", dir=os.environ.get("TESTS_SHM", "/dev/shm")))

    def segments(self) -> list[str]:
        return sorted(entry.name for entry in self.path.iterdir())

    def remove(self) -> None:
        for entry in self.path.iterdir():
            assert entry.is_file(), f"{entry} is no segment"
            entry.unlink()
        self.path.rmdir()
