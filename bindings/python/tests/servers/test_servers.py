"""The example applications under the servers that people use: no configuration file, no hook, no
directory.

Each under load while workers are killed; then one is killed inside a request. LOAD_SECONDS (1.5) is
the time under load.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import Counter

import pytest
from load import Load, kill_now_and_then, problems, settle, total_requests
from server import Server, gunicorn, uvicorn, uwsgi
from support import BIN, LONG, children, get, kill, wait_until

RECYCLED = 100 if LONG else 8
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "30" if LONG else "1.5"))
AIOHTTP = ("-k", "aiohttp.GunicornWebWorker")
needs_uwsgi = pytest.mark.skipif(not (BIN / "uwsgi").exists(), reason="uWSGI could not be built: it needs a C compiler and Python's headers")

CASES = {
    # prometheus_client's applications, unchanged
    "gunicorn sync": (gunicorn("flask_app"), "run"),
    "gunicorn sync, variable and hook": (gunicorn("flask_app"), "hook"),
    "gunicorn sync --preload": (gunicorn("flask_app", "--preload"), "run"),
    "gunicorn gthread": (gunicorn("flask_app", "-k", "gthread", "--threads", "4"), "run"),
    "gunicorn gthread --preload": (gunicorn("flask_app", "-k", "gthread", "--threads", "4", "--preload"), "run"),
    "gunicorn gevent": (gunicorn("flask_app", "-k", "gevent"), "run"),
    "gunicorn gevent --preload": (gunicorn("flask_app", "-k", "gevent", "--preload"), "run"),
    "gunicorn WSGI": (gunicorn("wsgi_app"), "run"),
    "gunicorn aiohttp": (gunicorn("aiohttp_app", *AIOHTTP), "run"),
    "gunicorn aiohttp --preload": (gunicorn("aiohttp_app", *AIOHTTP, "--preload"), "run"),
    "uvicorn": (uvicorn("asgi_app"), "run"),
    "uWSGI": (uwsgi("wsgi_app"), "run"),
    "uWSGI --lazy-apps": (uwsgi("wsgi_app", "--lazy-apps"), "run"),
    "uWSGI threads": (uwsgi("flask_app", "--enable-threads", "--threads", "2"), "run"),
    # the one-liners, and the native metrics
    "Flask in one line": (gunicorn("flask_one_line"), "native"),
    "Flask in one line, gevent --preload": (gunicorn("flask_one_line", "-k", "gevent", "--preload"), "native"),
    "Flask with native metrics": (gunicorn("flask_native", "-k", "gthread", "--threads", "4"), "native"),
    "Django in one line": (gunicorn("django_one_line"), "native"),
    "Django in one line, uvicorn": (uvicorn("django_one_line:asgi"), "native"),
    "aiohttp in one line": (gunicorn("aiohttp_one_line", *AIOHTTP), "native"),
    "WSGI in one line": (gunicorn("wsgi_one_line"), "native"),
    "WSGI in one line, uWSGI": (uwsgi("wsgi_one_line"), "native"),
    "ASGI in one line, uvicorn": (uvicorn("asgi_one_line"), "native"),
}


def cases() -> list:
    return [
        pytest.param(command, by, id=name, marks=[needs_uwsgi] if command[0].endswith("uwsgi") else [])
        for name, (command, by) in CASES.items()
    ]


@pytest.mark.parametrize("command, by", cases())
def test_totals_and_progress(command, by, shm, tmp_path):
    with Server(command, by, shm, tmp_path) as server:
        with Load(server.port) as load:
            killed = kill_now_and_then(server, LOAD_SECONDS, 0.4)
        page = settle(server)
        # The middlewares time a request to the end of its answer, when the client has it. A worker
        # killed in between never does.
        unfinished = killed * load.threads if by == "native" else 0
        found = problems(page, load, unfinished)
        assert found == [], f"{found}\n{load.failed} failed ({load.errors}), {killed} killed\n{server.page()}\n{server.log()}"
        assert load.total() > 10 and killed > 0
        assert killed_inside_a_request(server) == 0
        assert total_requests(server.samples()) == total_requests(page), "killed before it was counted"
        assert files(server) == [], "nothing is written"
        assert len(list(shm.iterdir())) == 1, "one segment"


def files(server: Server) -> list:
    made = [path for path in server.cwd.rglob("*")]
    of_directory = server.files.iterdir() if server.files.exists() else []
    return made + [file for file in of_directory if file.name != "gauge_max_shmetrics.db"]


def killed_inside_a_request(server: Server) -> float:
    """What is in progress after all workers were killed, one of them inside a request, and
    replaced.
    """
    client = threading.Thread(target=lambda: _lost(server.port, "/slow/60.0"))
    client.start()
    wait_until(lambda: server.in_progress() == 1, "a request in progress")
    old = set(server.workers())
    for pid in old:
        kill(pid)
    wait_until(lambda: set(server.workers()) - old and not old & set(server.workers()), "new workers")
    client.join()
    deadline = time.monotonic() + 3
    while (found := server.in_progress()) != 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _lost(port: int, path: str) -> None:
    try:
        get(port, path)
    except OSError:
        return
    except Exception as error:  # noqa: BLE001 - http.client's own
        assert "closed" in str(error), error


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "--preload"])
def test_recycled_workers(preload, shm, tmp_path):
    """--max-requests: dozens of workers come and go, and nothing is lost, as none is killed."""
    command = gunicorn("flask_app", "--max-requests", "12", "--max-requests-jitter", "8", *preload)
    with Server(command, "run", shm, tmp_path) as server:
        first, seen = set(server.workers()), set()
        with Load(server.port, threads=4) as load:

            def recycled() -> bool:
                seen.update(server.workers())
                return len(seen - first) >= RECYCLED

            wait_until(recycled, "workers are recycled")
        page = settle(server)
        assert problems(page, load) == [], server.log()
        assert files(server) == [] and len(list(shm.iterdir())) == 1


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "--preload"])
def test_upgrade_on_the_fly(preload, shm, tmp_path):
    """USR2: a second master beside the first, both count; then the first goes. No total falls."""
    pidfile = tmp_path / "pid"
    with Server(gunicorn("flask_app", "--pid", str(pidfile), *preload), "run", shm, tmp_path) as server:
        old = server.process.pid
        with Load(server.port, threads=4) as load:
            time.sleep(0.5)
            before = total_requests(server.samples())
            os.kill(old, signal.SIGUSR2)
            # gunicorn's name for it
            new = wait_until(lambda: _pid(tmp_path / "pid.2"), "a new master")
            wait_until(lambda: len(children(new)) == 4, "its workers")
            time.sleep(0.5)
            between = total_requests(server.samples())
            os.kill(old, signal.SIGTERM)
            server.process.wait(60)
            time.sleep(0.5)
        page = settle(server)
        assert 0 < before <= between <= total_requests(page)
        assert problems(page, load) == [], f"{load.failed} {load.errors}\n{server.log()}"
        assert files(server) == [] and len(list(shm.iterdir())) == 1


def _pid(file) -> int:
    return int(file.read_text().strip() or 0) if file.exists() else 0


class TestStock:
    """What the tests above tell from us: prometheus_client as it is, under the same servers and the
    same kills.
    """

    @pytest.mark.parametrize("command", [gunicorn("flask_app"), uvicorn("asgi_app")], ids=["gunicorn", "uvicorn"])
    def test_a_killed_worker_is_in_progress_for_good(self, command, shm, tmp_path):
        with Server(command, "stock", shm, tmp_path) as server:
            with Load(server.port, threads=2) as load:
                time.sleep(0.5)
            assert load.total() > 0 and problems(server.samples(), load) == [], server.log()
            assert killed_inside_a_request(server) == 1
            assert files(server) != [], "files"
        assert list(shm.iterdir()) == []

    @needs_uwsgi
    def test_uwsgi(self, shm, tmp_path):
        with Server(uwsgi("wsgi_app"), "stock", shm, tmp_path) as server:
            assert killed_inside_a_request(server) == 1
            assert files(server) != []


def test_the_tools_are_there():
    assert shutil.which(str(BIN / "gunicorn")) and shutil.which(str(BIN / "uvicorn"))


def test_what_counts_as_a_problem():
    """Each answer is counted; the time of as many as killed workers had in hand may be missing, and
    no more.
    """

    class Seen:
        wrong: list = []
        answered = Counter({"/": 10})
        failed = Counter({"/": 1})

    def page(requests: float, timed: float) -> dict:
        labels = {"app_name": "shop", "endpoint": "/"}
        return {
            ("http_requests_total", tuple({**labels, "method": "GET", "http_status": "200"}.items())): requests,
            ("http_request_latency_seconds_count", tuple(labels.items())): timed,
            ("http_request_latency_seconds_bucket", tuple({**labels, "le": "+Inf"}.items())): timed,
        }

    assert problems(page(10, 10), Seen, 0) == [] == problems(page(11, 11), Seen, 0) == problems(page(11, 9), Seen, 1)
    assert len(problems(page(9, 10), Seen, 9)) == 1, "answered and not counted"
    assert len(problems(page(12, 10), Seen, 9)) == 1, "counted twice"
    assert len(problems(page(10, 9), Seen, 0)) == 2 and len(problems(page(10, 8), Seen, 1)) == 2, "not timed"
