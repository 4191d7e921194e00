"""gunicorn with four workers under load and `kill -9`, scraped by the real Prometheus: from a
worker, and from a sidecar.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import subprocess
import sys

import pytest
from load import PATHS, Load, kill_now_and_then, settle
from prometheus import Prometheus, now
from server import Server, gunicorn
from support import LONG, free_port, get, kill, multiprocess_environment, started, total, wait_until

SECONDS = 300.0 if LONG else 8.0

# Another process, which knows only the directory.
SIDECAR = """
import sys, threading
from prometheus_client import CollectorRegistry, multiprocess, start_http_server
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
threading.Event().wait()
"""


@contextlib.contextmanager
def sidecar_of(server: Server, shm, log):
    """Gives the port."""
    port = free_port()
    with started([sys.executable, "-c", SIDECAR, str(port)], multiprocess_environment(shm, server.files), log) as process:
        wait_until(lambda: process.poll() is not None or get(port, "/metrics")[0] == 200, "the sidecar does not listen")
        assert process.poll() is None, log.read_text()
        yield port


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "--preload"])
def test_under_load_and_kills(preload, shm, tmp_path):
    command = gunicorn("flask_app", "-k", "gthread", "--threads", "4", *preload)
    with (
        Server(command, "hook", shm, tmp_path) as server,
        sidecar_of(server, shm, tmp_path / "sidecar.log") as sidecar,
        Prometheus({"worker": server.port, "sidecar": sidecar}, tmp_path / "prometheus") as prometheus,
    ):
        prometheus.wait_for_scrapes(now())
        started = now()
        with Load(server.port) as load:
            killed = kill_now_and_then(server, SECONDS, 0.5, 4)
            wait_until(lambda: load.total() > 100, "answers")
        page = settle(server)
        prometheus.wait_for_scrapes(now())
        window = f"[{math.ceil(now() - started) + 2}s]"

        assert load.wrong == []
        # The sidecar answers each scrape, unless the machine is too slow for it. A worker that is
        # killed while it answers cannot.
        refused = '(up{job="sidecar"} == 0 and scrape_duration_seconds{job="sidecar"} < 0.9)'
        assert prometheus.query(f"count_over_time({refused}{window[:-1]}:1s])") == []
        wait_until(lambda: prometheus.query('up{job="worker"}')[0][1] == 1, "a scrape of a worker")
        for name in ("http_requests_total", "http_request_latency_seconds_count", "http_request_latency_seconds_bucket"):
            resets = prometheus.query(f"resets({name}{window})")
            assert {metric["job"] for metric, _ in resets} == {"worker", "sidecar"}
            assert [(metric, fell) for metric, fell in resets if fell != 0] == []
        rows = prometheus.query('sum by (job, endpoint) (http_requests_total{http_status="200"})')
        for route in PATHS:
            least, most = load.answered[route], load.answered[route] + load.failed[route]
            for job in ("worker", "sidecar"):
                found = sum(value for m, value in rows if m["job"] == job and "/" + m["endpoint"][1:].partition("/")[0] == route)
                assert least <= found <= most, f"{job}: {found} of {route}; {least} answered, {load.failed[route]} lost to {killed} kills"
        assert {value for _, value in prometheus.query("http_requests_in_progress")} == {0}
        assert max(value for _, value in prometheus.query(f"max_over_time(http_requests_in_progress{window})")) > 0
        counted = total(page, "http_requests_total", http_status="200")
        assert {value for _, value in prometheus.query('sum by (job) (http_requests_total{http_status="200"})')} == {counted}
        assert prometheus.complaints() == []
        print(f"{load.total()} answered, {sum(load.failed.values())} lost to {killed} kills, {counted:g} counted")


@pytest.mark.skipif(not shutil.which("prometheus"), reason="prometheus is not installed")
def test_a_fall_would_be_noticed(shm, tmp_path):
    """With stock, and the files of dead workers removed as people do, totals fall; Prometheus
    tells.
    """
    with Server(gunicorn("flask_app"), "stock", shm, tmp_path) as server, Prometheus({"worker": server.port}, tmp_path / "prometheus") as prometheus:
        with Load(server.port):
            prometheus.wait_for_scrapes(now() + 2)
        settle(server)
        prometheus.wait_for_scrapes(now())
        for file in server.files.glob("counter_*.db"):
            file.unlink()
        for pid in server.workers():  # the new ones begin from 0
            kill(pid)
        with Load(server.port):
            fell = "sum(resets(http_requests_total[5m])) > 0"
            wait_until(lambda: prometheus.query(fell), "Prometheus sees the totals fall")


WRK_CONNECTIONS = 12


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_under_wrk_and_kills(shm, tmp_path):
    """wrk reports the number of answers and of broken connections. It does not report whether a
    connection had a request when it broke.
    """
    seconds = 60 if LONG else 4
    with Server(gunicorn("flask_app", "-k", "gthread", "--threads", "4"), "run", shm, tmp_path) as server:
        command = ["wrk", "-t2", f"-c{WRK_CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", f"http://127.0.0.1:{server.port}/items/7"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wrk:
            killed = kill_now_and_then(server, seconds - 1, 0.5, 4)
            said, _ = wrk.communicate()
        answered = int(re.search(r"(\d+) requests in", said)[1])
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
        broken = sum(map(int, errors.groups())) if errors else 0
        page = settle(server)
        counted = total(page, "http_requests_total", endpoint="/items/<int:item>", http_status="200")
        assert answered > 10 and "Non-2xx" not in said, said
        assert answered <= counted <= answered + broken + WRK_CONNECTIONS, f"{counted} counted, {killed} killed\n{said}"
        assert total(page, "http_request_latency_seconds_count", endpoint="/items/<int:item>") >= answered
