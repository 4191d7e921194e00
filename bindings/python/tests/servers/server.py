"""Real servers with the example applications and those of apps.py, on loopback ports, each in an
empty directory and in a session of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from support import (
    BIN,
    EXAMPLES,
    Samples,
    children,
    clean_environment,
    descendants,
    die_with_the_parent,
    free_port,
    get,
    multiprocess_environment,
    samples,
    total,
    wait_until,
)

WORKERS = 4
_HERE = Path(__file__).parent
START_ATTEMPTS = 3


def _located(app: str) -> tuple[str, str]:
    """The directory of an application, and `module:name`."""
    return str(_HERE if app.startswith("apps:") else EXAMPLES), app if ":" in app else f"{app}:app"


def gunicorn(app: str, *flags: str) -> list[str]:
    path, app = _located(app)
    command = [str(BIN / "gunicorn"), "--workers", str(WORKERS), "--pythonpath", path, "--log-level", "warning"]
    return [*command, "--bind", "127.0.0.1:PORT", *flags, app]


def uvicorn(app: str, *flags: str) -> list[str]:
    path, app = _located(app)
    command = [str(BIN / "uvicorn"), "--workers", str(WORKERS), "--app-dir", path, "--log-level", "warning"]
    return [*command, "--host", "127.0.0.1", "--port", "PORT", *flags, app]


def uwsgi(app: str, *flags: str) -> list[str]:
    path, app = _located(app)
    command = [str(BIN / "uwsgi"), "--master", "--processes", str(WORKERS), "--pythonpath", path, "--home", sys.prefix]
    return [*command, "--need-app", "--die-on-term", "--disable-logging", "--http-socket", "127.0.0.1:PORT", *flags, "--module", app]


class Server:
    """`by`: "run" puts `shmetrics-run` in front, "hook" relies on the start-up hook and the environment
    variable, "native" needs neither, "stock" is prometheus_client as it is.
    """

    def __init__(self, command: list[str], by: str, shm: Path, directory: Path, **environment: str) -> None:
        self._template, self._by, self._shm, self.cwd = command, by, shm, directory / "cwd"
        self.files = directory / "multiproc"  # for "stock" and "hook"
        self.cwd.mkdir()
        self._log = directory / "log"
        self._more = environment

    def __enter__(self) -> Server:
        for _ in range(START_ATTEMPTS):  # another program may take the port first
            self.port = free_port()
            command = [part.replace("PORT", str(self.port)) for part in self._template]
            environment = clean_environment(self._shm, **self._more)
            if self._by in ("stock", "hook"):
                environment = multiprocess_environment(self._shm, self.files, self._by == "stock", **self._more)
            elif self._by == "run":
                command = [str(BIN / "shmetrics-run"), *command]
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    command,
                    env=environment,
                    cwd=self.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=die_with_the_parent,
                )
            with contextlib.suppress(AssertionError):
                wait_until(self._answers_or_ended, f"{command[0]} does not start")
                if self.process.poll() is None:
                    return self
            self._stop()
        raise AssertionError(f"it does not start:\n{self.log()}")

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _answers_or_ended(self) -> bool:
        # The path has no route, so the tests do not count it.
        return self.process.poll() is not None or get(self.port, "/started")[0] == 404

    def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # the session is ours alone
        self.process.wait()

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-8000:]

    def workers(self, master: int | None = None) -> list[int]:
        return [pid for pid in children(master or self.process.pid) if not _is_helper(pid)]

    def processes(self) -> list[int]:
        return [self.process.pid, *descendants(self.process.pid)]

    def page(self, **headers: str) -> str:
        def fetch() -> str | None:
            status, body, _ = get(self.port, "/metrics", **headers)
            return body if status == 200 else None

        return wait_until(fetch, "a page")

    def samples(self) -> Samples:
        return samples(self.page())

    def in_progress(self) -> float:
        return total(self.samples(), "http_requests_in_progress")


def _is_helper(pid: int) -> bool:
    """multiprocessing's, which the server does not start again."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True
    return bool(re.search(rb"resource_tracker|semaphore_tracker", command))
