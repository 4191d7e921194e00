"""The example applications under the servers that people use: no configuration file, no hook, no
directory.

Each under load while workers are killed; then one is killed inside a request. LOAD_SECONDS (1.5) is
the time under load.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter

import pytest
from load import Load, kill_now_and_then, problems, settle, total_requests
from server import Server, gunicorn, uvicorn, uwsgi
from support import BIN, LONG, WATCHDOG_SECONDS, children, get, kill, wait_until

RECYCLED = 100 if LONG else 8
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "30" if LONG else "1.5"))
AIOHTTP = ("-k", "aiohttp.GunicornWebWorker")
needs_uwsgi = pytest.mark.skipif(not (BIN / "uwsgi").exists(), reason="uWSGI could not be built: it needs a C compiler and Python's headers")

CASES = {
    # prometheus_client's applications, unchanged. test_prometheus.py has gthread with --preload.
    "gunicorn sync": (gunicorn("flask_app"), "run"),
    "gunicorn sync, variable and hook": (gunicorn("flask_app"), "hook"),
    "gunicorn sync --preload": (gunicorn("flask_app", "--preload"), "run"),
    "gunicorn gthread": (gunicorn("flask_app", "-k", "gthread", "--threads", "4"), "run"),
    "gunicorn gevent --preload": (gunicorn("flask_app", "-k", "gevent", "--preload"), "run"),
    "gunicorn aiohttp --preload": (gunicorn("apps:aiohttp", *AIOHTTP, "--preload"), "run"),
    "uvicorn": (uvicorn("apps:fastapi"), "run"),
    "uWSGI": (uwsgi("flask_app"), "run"),
    "uWSGI threads --lazy-apps": (uwsgi("flask_app", "--enable-threads", "--threads", "2", "--lazy-apps"), "run"),
    # the middlewares
    "Flask in one line, gevent --preload": (gunicorn("apps:flask_one_line", "-k", "gevent", "--preload"), "native"),
    "Django in one line": (gunicorn("django_one_line"), "native"),
    "Django in one line, uvicorn": (uvicorn("django_one_line:asgi"), "native"),
    "aiohttp in one line": (gunicorn("apps:aiohttp_one_line", *AIOHTTP), "native"),
    "WSGI in one line, uWSGI": (uwsgi("apps:wsgi_one_line"), "native"),
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
            wait_until(lambda: load.total() > 10, "answers")
        page = settle(server)
        # The middlewares time a request to the end of its answer, when the client has it. A worker
        # killed in between never does.
        unfinished = killed * load.threads if by == "native" else 0
        found = problems(page, load, unfinished)
        assert found == [], f"{found}\n{load.failed} failed ({load.errors}), {killed} killed\n{server.page()}\n{server.log()}"
        kill_inside_a_request(server)
        wait_until(lambda: server.in_progress() == 0, "the killed worker's request is not in progress")
        assert total_requests(server.samples()) == total_requests(page), "killed before it was counted"
        assert files(server) == [], "nothing is written"
        assert len(list(shm.iterdir())) == 1, "one segment"


def files(server: Server) -> list:
    made = [path for path in server.cwd.rglob("*")]
    of_directory = server.files.iterdir() if server.files.exists() else []
    return made + [file for file in of_directory if file.name != "gauge_max_shmetrics.db"]


def kill_inside_a_request(server: Server) -> None:
    """Kills all workers, one of them inside a request, and returns when they are replaced."""
    client = threading.Thread(target=lambda: _lost(server.port, "/slow/600.0"))
    client.start()
    wait_until(lambda: server.in_progress() == 1, "a request in progress")
    old = set(server.workers())
    for pid in old:
        kill(pid)
    wait_until(lambda: set(server.workers()) - old and not old & set(server.workers()), "new workers")
    client.join()


def _lost(port: int, path: str) -> None:
    try:
        get(port, path)
    except OSError:
        return
    except Exception as error:  # noqa: BLE001 - http.client's own
        assert "closed" in str(error), error


def test_recycled_workers(shm, tmp_path):
    """--max-requests: dozens of workers come and go, and nothing is lost, as none is killed."""
    command = gunicorn("flask_app", "--max-requests", "12", "--max-requests-jitter", "8", "--preload")
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
            before = wait_until(lambda: total_requests(server.samples()), "requests")
            os.kill(old, signal.SIGUSR2)
            # gunicorn's name for it
            new = wait_until(lambda: _pid(tmp_path / "pid.2"), "a new master")
            wait_until(lambda: len(children(new)) == 4, "its workers")
            between = more(server, before)
            os.kill(old, signal.SIGTERM)
            server.process.wait(WATCHDOG_SECONDS)
            more(server, between)
        page = settle(server)
        assert 0 < before < between < total_requests(page)
        assert problems(page, load) == [], f"{load.failed} {load.errors}\n{server.log()}"
        assert files(server) == [] and len(list(shm.iterdir())) == 1


def more(server: Server, than: float) -> float:
    """The requests that are counted, when they are more than this."""
    return wait_until(lambda: (now := total_requests(server.samples())) > than and now, "more requests")


def _pid(file) -> int:
    return int(file.read_text().strip() or 0) if file.exists() else 0


def test_stock_keeps_a_killed_worker_in_progress(shm, tmp_path):
    """The negative control: prometheus_client as it is, under the same load and the same kills."""
    with Server(gunicorn("flask_app"), "stock", shm, tmp_path) as server:
        with Load(server.port, threads=2) as load:
            wait_until(lambda: load.total() > 10, "requests")
        assert problems(server.samples(), load) == [], server.log()
        kill_inside_a_request(server)
        assert server.in_progress() == 1
        assert files(server) != [], "files"
    assert list(shm.iterdir()) == []


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
