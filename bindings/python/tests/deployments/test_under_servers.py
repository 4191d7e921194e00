"""Applications with prometheus_client and the configuration that people have for it, unchanged: a
directory that they make, `child_exit`, and workers that give up root's rights. The same requests to
prometheus_client as it is and to the package give the same page, sample by sample.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from load import Load, kill_now_and_then, problems
from places import NOBODY, for_others, needs_workers_of_others
from server import Server, gunicorn, uwsgi
from support import BIN, EXAMPLES, free_port, get, samples, total, wait_until

# The configuration of prometheus_client's manual, with a server in the master on a port of its own.
CONFIGURATION = """
import os
from prometheus_client import CollectorRegistry, multiprocess, start_http_server
def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
def when_ready(server):
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    start_http_server(int(os.environ["MASTER_PORT"]), addr="127.0.0.1", registry=registry)
"""
WAITRESS = """
import sys
sys.path.insert(0, {examples!r})
from waitress import serve
from flask_app import app
serve(app, host="127.0.0.1", port=PORT, threads=4)
"""


TWO = ("--workers", "2")
SERVERS = {
    "sync": gunicorn("flask_app", *TWO),
    "gthread": gunicorn("flask_app", *TWO, "-k", "gthread", "--threads", "4"),
    "gevent": gunicorn("flask_app", *TWO, "-k", "gevent"),
    "aiohttp": gunicorn("apps:aiohttp", *TWO, "-k", "aiohttp.GunicornWebWorker"),
    "preload": gunicorn("flask_app", *TWO, "--preload"),
    "uWSGI": uwsgi("flask_app"),
    "waitress": [sys.executable, "-c", WAITRESS.format(examples=str(EXAMPLES))],
}
_NEEDS = {"uWSGI": BIN / "uwsgi", "waitress": BIN / "waitress-serve"}


@pytest.fixture
def ground(shm):
    """A place that other users may go to, and segments of other users may be in."""
    shm.chmod(0o1777)
    with tempfile.TemporaryDirectory(prefix="python-test.") as base:
        os.chmod(base, 0o755)
        yield Path(base)


def server(name: str, by: str, shm: Path, ground: Path, user: int) -> Server:
    place = ground / by
    place.mkdir()
    (place / "gunicorn.conf.py").write_text(CONFIGURATION)
    (place / "multiproc").mkdir()
    os.chown(place / "multiproc", user, user)
    return Server(command_of(name, place, user), by, shm, place, MASTER_PORT=str(free_port()))


def command_of(name: str, place: Path, user: int) -> list[str]:
    """The server with the configuration there, and workers that are this user's."""
    program, *arguments = SERVERS[name]
    if program.endswith("gunicorn"):
        more = ["-c", str(place / "gunicorn.conf.py")]
        more += ["--user", str(user), "--group", str(user)] if user else []
    else:
        more = ["--uid", str(user), "--gid", str(user)] if user else []
    return [*(for_others() if user else []), program, *more, *arguments]


def workload(port: int) -> None:
    for path in ("/", "/items/7", "/items/8", "/slow/0.01", "/none") * 6:
        assert get(port, path)[0] in (200, 404)


def counted(page: str) -> dict:
    """What does not depend on how fast the machine is, or on which process answered."""
    timed = ("_sum", "_bucket", "_created")
    found = samples(page).items()
    return {
        (name, *sorted(labels)): value
        for (name, labels), value in found
        if not name.endswith(timed) or ("le", "+Inf") in labels
    }


CASES = [(name, NOBODY) for name in SERVERS if name != "waitress"] + [("sync", 0), ("waitress", 0)]


@needs_workers_of_others
@pytest.mark.parametrize("name, user", CASES)
def test_the_same_page_as_prometheus_clients(name, user, shm, ground):
    if not _NEEDS.get(name, BIN).exists():
        pytest.skip(f"{name} is not installed")
    pages = {}
    for by in ("stock", "hook"):
        with server(name, by, shm, ground, user) as running:
            workload(running.port)
            pages[by] = counted(wait_until(lambda: _at_rest(running), "nothing in progress"))
            if SERVERS[name][0].endswith("gunicorn"):
                # The master's page: of a process that does not count, and is root.
                master = counted(get(int(running._more["MASTER_PORT"]), "/metrics")[1])
                assert master == pages[by], (by, running.log())
            log = running.log()
            assert "SegmentWarning" not in log, log
    assert pages["hook"] == pages["stock"] and len(pages["stock"]) > 8


def _at_rest(running: Server) -> str | None:
    page = running.page()
    return page if total(samples(page), "http_requests_in_progress") == 0 else None


@needs_workers_of_others
def test_load_kills_and_reloads(shm, ground):
    """Workers of another user are killed, and the master reloads twice: the totals are what clients
    saw. And the master, which is root, shows the same page.
    """
    with server("gthread", "hook", shm, ground, NOBODY) as running:
        with Load(running.port) as load:
            for _ in range(2):
                kill_now_and_then(running, 0.8, 0.3)
                old = set(running.workers())
                os.kill(running.process.pid, signal.SIGHUP)
                wait_until(lambda: running.workers() and not old & set(running.workers()), "new workers")
        page = samples(wait_until(lambda: _at_rest(running), "nothing in progress"))
        killed = 100
        assert problems(page, load, killed) == [], f"{load.failed} {load.errors}\n{running.log()}"
        assert counted(get(int(running._more["MASTER_PORT"]), "/metrics")[1]) == counted(running.page())
        assert len(list(shm.iterdir())) == 1 and [f.name for f in running.files.iterdir()] == ["gauge_max_shmetrics.db"]
        (segment,) = shm.iterdir()
        assert segment.stat().st_uid == NOBODY


@needs_workers_of_others
@pytest.mark.parametrize("wipe", ["rm -rf multiproc; mkdir multiproc; chown 65534:65534 multiproc", "rm -rf multiproc/*", "rm multiproc/*.db"])
def test_stop_wipe_start(wipe, shm, ground):
    """From 0, as with files."""
    place = ground / "hook"
    for number in range(2):
        with contextlib.ExitStack() as stack:
            if number == 0:
                running = stack.enter_context(server("sync", "hook", shm, ground, NOBODY))
            else:
                subprocess.run(wipe, shell=True, check=True, cwd=place)
                (place / "cwd").rmdir()
                again = Server(command_of("sync", place, NOBODY), "hook", shm, place, MASTER_PORT=str(free_port()))
                running = stack.enter_context(again)
            workload(running.port)
            assert total(running.samples(), "http_requests_total", endpoint="/") == 6
    # In mount namespaces of their own, neither start removes what the other has left.
    assert len(list(shm.iterdir())) == (2 if for_others() else 1)
