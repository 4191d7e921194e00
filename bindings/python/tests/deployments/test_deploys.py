"""What changes from one start to the next, and processes that do not have the package."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from server import Server
from support import BIN, WATCHDOG_SECONDS, get, multiprocess_environment, python, samples, total, wait_until

BEGIN = """
import os, sys, warnings
warnings.simplefilter("ignore")
from prometheus_client import *
from prometheus_client.multiprocess import MultiProcessCollector
def show():
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    print(generate_latest(registry).decode())
"""


def page(code: str, shm: Path, directory: Path, **more: str) -> dict:
    done = python(BEGIN + code + "\nshow()", multiprocess_environment(shm, directory, **more))
    assert done.returncode == 0, done.stderr
    return {(name, *sorted(labels)): value for (name, labels), value in samples(done.stdout).items()}


OLD = """
Counter("c", "help", ["a"]).labels("1").inc()
Histogram("h", "help", buckets=[1, 2]).observe(1)
Gauge("g", "help", multiprocess_mode="max").set(3)
Info("i", "help").info({"x": "1"})
Enum("e", "help", states=["a", "b"]).state("b")
Counter("t", "help").inc()
Summary("s", "help").observe(1)
"""
NEW = """
Counter("c", "help", ["a", "b"]).labels("1", "2").inc()
Histogram("h", "help", buckets=[1, 2, 3]).observe(2.5)
Gauge("g", "help", multiprocess_mode="sum").set(4)
Info("i", "help").info({"y": "1"})
Enum("e", "help", states=["a", "b", "c"]).state("c")
Gauge("t", "help", multiprocess_mode="sum").set(7)
Summary("s", "help", ["z"]).labels("1").observe(1)
"""


@pytest.mark.parametrize("between", ["", "rm -rf d/*", "rm -rf d; mkdir d"])
def test_a_start_with_other_definitions(between, shm, tmp_path):
    """Shows those alone, and with the values of a first start, with a wipe and without."""
    fresh = {name: page(code, shm, tmp_path / name) for name, code in (("old", OLD), ("new", NEW))}
    for code, name in ((OLD, "old"), (NEW, "new"), (OLD, "old")):
        assert page(code, shm, tmp_path / "d") == fresh[name]
        subprocess.run(between or "true", shell=True, check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    "old, new",
    [
        ('Counter("c_total", "help", ["a"]).labels("1").inc()', 'Gauge("c_total", "help", ["a"], multiprocess_mode="sum").labels("1").set(2)'),
        ('Info("b", "help").info({"x": "1"})', 'Gauge("b_info", "help", multiprocess_mode="max").set(2)'),
        ('h = Histogram("h", "help", ["a"]); h.labels("1"); h.clear()', 'Counter("h_count", "help", ["a"]).labels("1").inc()'),
        ('Gauge("x.y", "help", multiprocess_mode="max").set(1)', 'Enum("x_y", "help", states=["on"]).state("on")'),
    ],
)
def test_another_type_with_the_same_samples(old, new, shm, tmp_path):
    """A `_total`, `_info` or `_count` is a part of the name in one type and not in the other."""
    fresh = page(new, shm, tmp_path / "fresh")
    for _ in range(2):
        page(old, shm, tmp_path / "d")
        assert page(new, shm, tmp_path / "d") == fresh and fresh


def test_two_types_with_the_same_samples_in_one_program(shm, tmp_path):
    """The first one stays, as with two definitions of one name."""
    code = """
Counter("c_total", "help").inc()
for i in range(3):
    Gauge("c_total", "help", registry=None, multiprocess_mode="max").set(7)
"""
    for starts in (1, 2):
        assert page(code, shm, tmp_path / "d") == {("c_total",): starts}


def test_two_definitions_in_one_program_do_not_take_turns(shm, tmp_path):
    code = """
first, second = Counter("c", "help", ["a"]), Counter("c", "help", ["b"], registry=None)
for i in range(3):
    first.labels(str(i)).inc()
    second.labels(str(i)).inc()
"""
    assert page(code, shm, tmp_path / "d") == {("c_total", ("a", str(i))): 1 for i in range(3)}


def test_updates_of_old_workers_are_told(shm, tmp_path):
    """By a number on the page, and by a warning of the process that replaces their definition."""
    code = """
import subprocess
old = Counter("c", "help", ["a"])
old.labels("1").inc()
new = 'from prometheus_client import *; Counter("c", "help", ["a", "b"]).labels("1", "2").inc()'
for warns in (True, False):  # the definition is replaced once
    done = subprocess.run([sys.executable, "-c", new], capture_output=True, text=True)
    assert ("the metric c has another definition than at an earlier start" in done.stderr) == warns, done.stderr
old.labels("1").inc()
old.labels("2").inc()
registry = CollectorRegistry()
MultiProcessCollector(registry)
assert "shmetrics_stale_updates_total 2.0" in generate_latest(registry).decode()
"""
    assert page(code, shm, tmp_path / "d") == {("c_total", ("a", "1"), ("b", "2")): 2}


APP = """
from prometheus_client import CollectorRegistry, Counter, generate_latest, multiprocess
COUNT = Counter("requests", "Requests.", LABELS)
def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        body = generate_latest(registry)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]
    if environ["PATH_INFO"] != "/":
        start_response("404 Not Found", [])
        return [b""]
    COUNT.labels(*(["x"] * len(LABELS))).inc()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"1"]
"""


@pytest.mark.parametrize("how", ["HUP", "USR2"])
def test_a_deploy_on_the_fly(how, shm, tmp_path):
    """A label more: the new workers' definition is on the page."""
    app, pids = tmp_path / "deployed.py", tmp_path / "pid"
    app.write_text("LABELS = ['a']" + APP)
    command = [str(BIN / "gunicorn"), "--workers", "2", "--pythonpath", str(tmp_path), "--log-level", "warning", "--pid", str(pids)]
    with Server([*command, "--bind", "127.0.0.1:PORT", "deployed:app"], "hook", shm, tmp_path) as server:
        for _ in range(5):
            assert get(server.port, "/")[0] == 200
        assert total(server.samples(), "requests_total", a="x") == 5
        app.write_text("LABELS = ['a', 'b']" + APP)
        old = set(server.workers())
        if how == "HUP":
            os.kill(server.process.pid, signal.SIGHUP)
            wait_until(lambda: len(server.workers()) == 2 and not old & set(server.workers()), "new workers")
        else:
            os.kill(server.process.pid, signal.SIGUSR2)
            new = wait_until(lambda: Path(f"{pids}.2").exists() and int(Path(f"{pids}.2").read_text() or 0), "a new master")
            wait_until(lambda: len(server.workers(new)) == 2, "its workers")
            os.kill(server.process.pid, signal.SIGTERM)
            server.process.wait(WATCHDOG_SECONDS)
        for _ in range(7):
            assert get(server.port, "/")[0] == 200
        found = server.samples()
        assert total(found, "requests_total") == total(found, "requests_total", a="x", b="x") == 7, found


MIXED = """
values = {"first": 1, "second": 2}
n = values[WHO]
Counter("c", "help", ["a"]).labels("1").inc(n)
Counter("only_" + WHO, "help").inc(n)
for mode in ("min", "max", "sum", "livemin", "livemax", "livesum"):
    Gauge("g_" + mode, "help", ["a"], multiprocess_mode=mode).labels("1").set(n)
h = Histogram("h", "help", ["a"], buckets=[1, 2] if WHO == "first" else [0.5, 1, 4])
for v in (0.2, 0.7, 1.5, 3, 9):
    h.labels("1").observe(v * n)
Summary("s", "help").observe(n)
Histogram("x", "help").observe(n)
"""


def test_processes_without_the_package_are_added(shm, tmp_path):
    """Sample by sample, the page is that of two processes of prometheus_client."""

    def both(directory: Path, first: str, second: str) -> dict:
        page("WHO = 'first'" + MIXED, shm, directory, SHMETRICS_PYTHON=first)
        return page("WHO = 'second'" + MIXED, shm, directory, SHMETRICS_PYTHON=second)

    stock = both(tmp_path / "stock", "0", "0")
    mixed = both(tmp_path / "mixed", "0", "1")
    assert mixed == stock and len(stock) > 30
    # The page of a process without the package says that it is incomplete.
    other = both(tmp_path / "other", "1", "0")
    told = python(BEGIN + "show()", multiprocess_environment(shm, tmp_path / "other", stock=True))
    assert ("c_total", ("a", "1")) in other and "shmetrics_segment_not_read{segment=\"multiproc:" in told.stdout


def test_a_damaged_file_is_left_out_and_told(shm, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "counter_1.db").write_bytes(b"")
    (tmp_path / "d" / "counter_2.db").write_bytes(b"\xe8\x03\0\0\0\0\0\0" + b"\xff" * 992)
    code = """
Counter("c", "help").inc()
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    generate_latest(registry)
assert sorted("counter_1.db" in str(w.message) for w in said) == [False, True], said
assert all("is left out of the page" in str(w.message) for w in said)
"""
    assert page(code, shm, tmp_path / "d") == {("c_total",): 1}
