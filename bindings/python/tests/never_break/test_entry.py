"""Counting from wherever Python may call: signal handlers, the garbage collector, threads that
fork, an interpreter that ends.
"""

from __future__ import annotations

import sys

import pytest
import support
from programs import KINDS, environment, run
from support import BIN, python

METRICS = """
counter = Counter("requests_total", "Requests.", ["path"])
held = counter.labels("/")
gauge = Gauge("busy", "Busy.", ["path"], multiprocess_mode="livesum")
times = Histogram("times_seconds", "Times.", ["path"])
def count(path="/"):
    held.inc()
    counter.labels(path).inc()
    times.labels(path).observe(0.1)
    gauge.labels(path).inc()
    gauge.labels(path).dec()
"""

SIGNALS = METRICS + """
import signal
handled, inside = 0, False
def handler(*_):
    global handled, inside
    if not inside:
        inside = True
        handled += 1
        count(f"/{handled % 50}")
        inside = False
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
counted = 0
while handled < 300:
    count(f"/{counted % 70}")
    counted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert value("requests_total") == 2 * (handled + counted), (value("requests_total"), handled, counted)
assert value("times_seconds_count") == handled + counted
assert value("busy") == 0
"""


@pytest.mark.parametrize("kind", KINDS)
def test_signal_handlers(kind, shm, tmp_path):
    run(kind, SIGNALS, shm, tmp_path)


COLLECTED = METRICS + """
import gc
dead = 0
class Counts:
    def __init__(self):
        self.me = self
    def __del__(self):
        global dead
        dead += 1
        count(f"/{dead % 90}")
        page() if dead % 500 == 0 else None
gc.set_threshold(1, 1, 1)
for i in range(3_000):
    Counts()
    count(f"/new/{i}")
gc.set_threshold(0)
gc.collect()
assert dead == 3_000
assert value("requests_total") == 2 * 6_000, value("requests_total")
assert value("busy") == 0
"""


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_collection(kind, shm, tmp_path):
    run(kind, COLLECTED, shm, tmp_path)


FORKS = METRICS + """
import threading, time
warnings.simplefilter("ignore")
page()  # what is imported late is: a fork that meets an import is Python's own trouble
stop = threading.Event()
def work(number):
    i = 0
    while not stop.is_set():
        i += 1
        count(f"/{number}/{i % 200}")
        if i % 50 == 0:
            page()
workers = [threading.Thread(target=work, args=(n,)) for n in range(3)]
for worker in workers:
    worker.start()
stuck = 0
for i in range(FORKED):
    child = os.fork()
    if child == 0:
        Counter(f"of_child_{i % 10}", "A new family.", ["path"]).labels("/").inc()
        count("/child")
        page()
        os._exit(0)
    deadline = time.monotonic() + 120
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.002)
    if ended == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
        stuck += 1
        break
    assert ended[1] == 0, ended
stop.set()
for worker in workers:
    worker.join()
print(stuck)
if stuck == 0:
    assert value("requests_total", path="/child") == FORKED, value("requests_total", path="/child")
    assert value("busy") == 0
"""


@pytest.mark.parametrize("kind", KINDS)
def test_forks_while_threads_count(kind, shm, tmp_path):
    assert run(kind, FORKS.replace("FORKED", "60"), shm, tmp_path).stdout == "0\n"


ENDING = METRICS + """
import atexit, threading, time
atexit.register(lambda: count("/atexit"))
class Counts:
    def __del__(self):
        count("/module")
last = Counts()
self_referring = Counts()
self_referring.me = self_referring
started = threading.Event()
def work(number):
    i = 0
    while True:
        i += 1
        count(f"/{number}/{i % 100}")
        started.set()
        if i % 20 == 0:
            page()
for number in range(3):
    threading.Thread(target=work, args=(number,), daemon=True).start()
started.wait()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_interpreter_shutdown(kind, shm, tmp_path):
    """With daemon threads that count and render until the end."""
    for _ in range(8):
        assert run(kind, ENDING, shm, tmp_path).stderr == ""
    check = run(kind, METRICS + "print(value('requests_total', path='/atexit'), value('busy', path='/atexit'))", shm, tmp_path)
    assert check.stdout == "8.0 0.0\n"


SUBINTERPRETER = """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
def inside(code):
    interpreter = interpreters.create()
    try:
        failed = interpreters.run_string(interpreter, code)
        if failed is not None:
            raise RuntimeError(failed)
    finally:
        interpreters.destroy(interpreter)
import shmetrics
Counter("mine_total", "Of the main interpreter.").inc()
inside('''
try:
    import shmetrics
except ImportError as error:
    assert "interpreter" in str(error), error
else:
    raise SystemExit("not refused")
''')
inside('''
import os
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
from prometheus_client import Counter, REGISTRY
Counter("inner_total", "Of another interpreter.").inc()
assert REGISTRY.get_sample_value("inner_total") == 1
''')
assert value("mine_total") == 1
assert value("inner_total") == 0
"""


@pytest.mark.parametrize("kind", KINDS)
def test_subinterpreters_are_refused(kind, shm, tmp_path):
    """The error says so. prometheus_client works there as without this package."""
    have = python("try:\n import _xxsubinterpreters\nexcept ImportError:\n import _interpreters", environment("native", shm, tmp_path))
    if have.returncode:
        pytest.skip("this Python has no way to make sub-interpreters")
    run(kind, SUBINTERPRETER, shm, tmp_path)


CLOSED = METRICS + """
count()
os.closerange(3, 1000)
count("/closed")
open("/dev/null"), open("/dev/null")
count("/again")
assert value("requests_total") == 6
"""


@pytest.mark.parametrize("kind", KINDS)
def test_all_descriptors_closed(kind, shm, tmp_path):
    run(kind, CLOSED, shm, tmp_path)


SPAWNED = """
import multiprocessing, sys
from prometheus_client import Counter
tasks = Counter("tasks_total", "Tasks.", ["how"])
def work(how):
    tasks.labels(how).inc()
if __name__ == "__main__":
    for how in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(how)
        processes = [context.Process(target=work, args=(how,)) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
    from prometheus_client import CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    print(*(registry.get_sample_value("tasks_total", {"how": how}) for how in ("fork", "spawn", "forkserver")))
"""


@pytest.mark.parametrize("by", ["variable", "shmetrics-run"])
def test_multiprocessing_by_all_its_methods(by, shm, tmp_path):
    (tmp_path / "spawned.py").write_text(SPAWNED)
    command, variables = [sys.executable, "spawned.py"], environment("dropin", shm, tmp_path)
    if by == "shmetrics-run":
        del variables["PROMETHEUS_MULTIPROC_DIR"]
        command.insert(0, str(BIN / "shmetrics-run"))
    done = support.run(command, variables, tmp_path)
    assert (done.stdout, done.returncode) == ("3.0 3.0 3.0\n", 0), done.stderr


VALUES = """
counter = Counter("requests_total", "Requests.", ["path"])
for odd in ("", "\\udc80", "\\0", "\\n\\"\\\\", "ü", "\\U0001f600", 7, None, 2.5, b"bytes", "x" * 100_000):
    counter.labels(odd).inc()
counter.labels("/").inc(2**70)
counter.labels("/").inc(True)
for wrong in (-1, "a"):
    try:
        counter.labels("/").inc(wrong)
    except (ValueError, TypeError):
        pass
    else:
        raise SystemExit(f"{wrong!r} was taken")
gauge = Gauge("odd", "Odd.", multiprocess_mode="mostrecent")
for odd in (float("nan"), float("inf"), -float("inf"), 10**300, 1e-320, -0.0):
    gauge.set(odd)
assert value("requests_total", path="/") == 2.0**70 + 1
assert value("requests_total", path="ü") == 1
"""


@pytest.mark.parametrize("kind", KINDS)
def test_odd_values(kind, shm, tmp_path):
    run(kind, VALUES, shm, tmp_path)
