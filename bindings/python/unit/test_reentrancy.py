"""Code of the application that runs inside of ours: warnings, log handlers, signal handlers,
destructors, comparisons.

Nothing of ours is locked meanwhile, so it may count; and whatever it raises, the metric is there.
"""

from __future__ import annotations

import os
import sys

import pytest

import shmetrics

BEGIN = {
    "native": """
import gc, logging, os, signal, sys, threading, warnings
import shmetrics
from shmetrics import CollectorRegistry, Counter, Gauge, Histogram
from shmetrics import _segment
def value(name, **labels):
    return shmetrics.REGISTRY.get_sample_value(name, labels)
""",
    "dropin": """
import gc, logging, os, signal, sys, threading, warnings
os.environ["PROMETHEUS_MULTIPROC_DIR"] = os.getcwd()
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector
from shmetrics import _segment
pages = CollectorRegistry()
MultiProcessCollector(pages)
def value(name, **labels):
    return pages.get_sample_value(name, labels)
""",
}
#: The program ends, in a stack of each thread, where it would hang.
WATCHDOG = "import faulthandler\nfaulthandler.dump_traceback_later(240, exit=True)\n"
NOWHERE = {"SHMETRICS_DIR": "/nowhere/at/all"}
settings = pytest.mark.parametrize("settings", [{}, NOWHERE], ids=["", "without a segment"])


@pytest.fixture(params=BEGIN)
def run(request, program):
    """Runs a program with the native metrics, and with the drop-in."""
    return lambda code, **environment: program(WATCHDOG + BEGIN[request.param] + code, **environment)


@pytest.fixture
def native(program):
    return lambda code, **environment: program(WATCHDOG + BEGIN["native"] + code, **environment)


def test_log_handlers_may_count(run):
    """Where the first segment cannot be had, and where a metric is refused."""
    out = run(
        """
warnings.simplefilter("always")
class Handler(logging.Handler):
    def emit(self, record):
        if len(made) < 3:
            made.append(Counter("logged_%d" % len(made), "Help."))
        for counter in made:
            counter.inc()
made = []
logging.getLogger("py.warnings").addHandler(Handler())
logging.captureWarnings(True)
Counter("first", "Help.").inc()
print(value("first_total"), len(made), value("logged_0_total"))
""",
        **NOWHERE,
    )
    assert out == "1.0 1 1.0\n"


RAISING = [
    "Exception",
    "OSError",
    "SystemExit",
    "GeneratorExit",
    "BaseException",
    "type('Odd', (BaseException,), {})",
]


@pytest.mark.parametrize("shows", ["showwarning", "log"])
def test_what_shows_warnings_may_raise(shows, run):
    out = run(
        """
kinds = [%s]
def showwarning(*_, **__):
    told.append(1)
    raise kinds[0]("shown")
told = []
if %r == "showwarning":
    warnings.showwarning = showwarning
else:
    class Handler(logging.Handler):
        def emit(self, record):
            showwarning()
    logging.getLogger("py.warnings").addHandler(Handler())
    logging.captureWarnings(True)
warnings.simplefilter("always")
counter = Counter("first", "Help.")
counter.inc()
for kind in kinds:
    kinds[0] = kind
    _segment.warn("once more")
print(value("first_total"), len(told))
"""
        % (", ".join(RAISING), shows),
        **NOWHERE,
    )
    assert out == "1.0 %d\n" % (len(RAISING) + 1)


def test_the_users_interrupt_is_not_swallowed(native):
    native(
        """
def showwarning(*_, **__):
    raise KeyboardInterrupt
warnings.showwarning = showwarning
try:
    Counter("first", "Help.")
except KeyboardInterrupt:
    Counter("first", "Help.").inc()
    sys.exit(0 if value("first_total") == 1 else 1)
sys.exit(2)
""",
        **NOWHERE,
    )


#: Whether the first metric of a kind comes by a function, with a segment or without one.
COMES_BY = {
    "open_or_fall_back": lambda kind, has_segment: True,
    "open_of_directory": lambda kind, has_segment: kind == "dropin",
    "_leave_gone": lambda kind, has_segment: kind == "dropin",
    "default": lambda kind, has_segment: kind == "native",
    "warn": lambda kind, has_segment: not has_segment,
}


@settings
@pytest.mark.parametrize("where", COMES_BY)
def test_a_signal_handler_may_come_in_anywhere(where, settings, run, request):
    """The first metric of the process, in a handler that comes while another first metric opens the
    segment.
    """
    out = run(
        """
def handler(*_):
    Counter("handled", "Help.").inc()
signal.signal(signal.SIGUSR1, handler)
def inside(frame, event, argument):
    if event == "call" and frame.f_code.co_name == %r and not inside.times:
        inside.times += 1
        sys.settrace(None)
        os.kill(os.getpid(), signal.SIGUSR1)
    return inside
inside.times = 0
sys.settrace(inside)
Counter("first", "Help.").inc()
sys.settrace(None)
if not inside.times:
    print("not reached")
else:
    print(value("first_total"), value("handled_total"))
"""
        % where,
        **settings,
    )
    reached = COMES_BY[where](request.node.callspec.params["run"], settings != NOWHERE)
    assert out.splitlines()[-1] == ("1.0 1.0" if reached else "not reached"), out


@settings
def test_a_signal_handler_while_another_thread_opens(settings, run):
    """The other thread stops in the middle, and the handler's metric does not wait for it. Both count
    into one segment.
    """
    out = run(
        """
stopped, go_on = threading.Event(), threading.Event()
original = _segment.open_or_fall_back
def stops(*arguments):
    made = original(*arguments)
    if threading.current_thread() is not threading.main_thread():
        stopped.set()
        go_on.wait()
    return made
_segment.open_or_fall_back = stops
def first():
    Counter("first", "Help.").inc()
thread = threading.Thread(target=first)
thread.start()
stopped.wait()
def handler(*_):
    Counter("handled", "Help.").inc()
signal.signal(signal.SIGUSR1, handler)
os.kill(os.getpid(), signal.SIGUSR1)
go_on.set()
thread.join()
print(value("first_total"), value("handled_total"))
""",
        **settings,
    )
    assert out == "1.0 1.0\n"


@settings
def test_threads_that_are_first_count_into_one(settings, run):
    """Also where each would have memory of its own."""
    out = run(
        """
warnings.simplefilter("ignore")
barrier = threading.Barrier(8)
original = _segment.open_or_fall_back
def together(*arguments):
    made = original(*arguments)
    barrier.wait()
    return made
_segment.open_or_fall_back = together
def first(i):
    Counter("first_%d" % i, "Help.").inc()
threads = [threading.Thread(target=first, args=(i,)) for i in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*(value("first_%d_total" % i) for i in range(8)))
""",
        **settings,
    )
    assert out == " ".join(["1.0"] * 8) + "\n"


def test_a_fork_while_another_thread_opens(run):
    out = run(
        """
stopped, go_on = threading.Event(), threading.Event()
original = _segment.open_or_fall_back
def stops(*arguments):
    if threading.current_thread() is not threading.main_thread():
        stopped.set()
        go_on.wait()
    return original(*arguments)
_segment.open_or_fall_back = stops
thread = threading.Thread(target=lambda: Counter("first", "Help.").inc())
thread.start()
stopped.wait()
child = os.fork()
if child == 0:
    Counter("forked", "Help.").inc()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
go_on.set()
thread.join()
print(value("first_total"), value("forked_total"))
"""
    )
    assert out == "1.0 1.0\n"


def test_destructors_and_comparisons_may_register(native):
    """Of collectors, of functions of gauges, and of what a timer counts into."""
    out = native(
        """
registry = shmetrics.REGISTRY
class Collector:
    def __eq__(self, other):
        registry.register(Other())
        return self is other
    __hash__ = None
    def __del__(self):
        registry.register(Other())
    def collect(self):
        return []
class Other(Collector):
    def __eq__(self, other):
        return self is other
    def __del__(self):
        pass
registry.register(Collector())
one = Collector()
registry.register(one)
registry.register(one)
registry.unregister(one)
del one
gc.collect()

gauge = Gauge("asked", "Help.")
class Function:
    def __call__(self):
        return 1
    def __del__(self):
        gauge.set_function(lambda: 3)
        Gauge("other", "Help.").set_function(lambda: 2)
gauge.set_function(Function())
gauge.set_function(lambda: 4)
gc.collect()
print(value("asked", pid=str(os.getpid())), value("other", pid=str(os.getpid())))

class Child:
    def labels(self, *_): return self if _[0] == "b" else None
    def observe(self, seconds): timer.labels("b")
    def __del__(self): assert timer.duration != 7; timer.labels("z")
class Timed(Histogram):
    def labels(self, *values): return Child() if values[0] == "a" else super().labels(*values)
timer = Timed("timed", "Help.", ["a"]).time()
with timer:
    timer.labels("a")
timer.labels("x")
gc.collect()
print(timer.duration > 0)
"""
    )
    assert out == "3.0 2.0\nTrue\n"


LOADED = """
import sys
import prometheus_client, prometheus_client.multiprocess, prometheus_client.openmetrics.exposition
prometheus_client.Counter("c", "Help.").inc()
prometheus_client.generate_latest()
print(*sorted(name for name in sys.modules if "shmetrics" in name))
"""


def test_a_process_that_is_not_in_multiprocess_mode_loads_nothing(program):
    assert program(LOADED) == "_shmetrics_hook\n"
    # At the start of any Python.
    started = "import os, sys\nbefore = set(sys.modules)\nimport _shmetrics_hook\nprint(*set(sys.modules) - before)"
    site_packages = os.path.dirname(os.path.dirname(shmetrics.__file__))
    out = program(started, arguments=(sys.executable, "-S", "-c"), PYTHONPATH=site_packages)
    assert out == "_shmetrics_hook\n"


def test_a_process_in_multiprocess_mode_loads_it(program, tmp_path):
    ours = program(LOADED, PROMETHEUS_MULTIPROC_DIR=str(tmp_path)).splitlines()[0]
    assert "shmetrics._native" in ours.split()


READER = """
import prometheus_client
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
import sys
assert "shmetrics" not in sys.modules
own = Counter("own", "Help.")
own.inc()
class Mine(MultiProcessCollector):
    pass
for collector in (MultiProcessCollector, Mine):
    registry = CollectorRegistry()
    collector(registry, path=%r)
    assert registry.get_sample_value("c_total") == 1, collector
    assert b"\\nc_total 1.0\\n" in generate_latest(registry)
    assert b"\\nc_total 1.0\\n" in prometheus_client.generate_latest(registry)
mark_process_dead(1, %r)
own.inc()
assert prometheus_client.REGISTRY.get_sample_value("own_total") == 2
assert registry.get_sample_value("own_total") is None
later = Counter("later", "Help.")
later.inc()
assert registry.get_sample_value("later_total") is None
print(type(registry).__name__)
"""


@pytest.fixture
def directory(program, tmp_path):
    """A directory in which a process has counted."""
    path = str(tmp_path / "metrics")
    os.mkdir(path)
    program("from prometheus_client import Counter\nCounter('c', 'Help.').inc()", PROMETHEUS_MULTIPROC_DIR=path)
    return path


def test_a_reader_names_the_directory(directory, program):
    """Without the variable: the collector's argument says it. Metrics of its own stay its own."""
    assert program(READER % (directory, directory)) == "CollectorRegistry\n"


def test_the_variable_may_come_before_the_collector(directory, program):
    """Set by the program, between the imports."""
    out = program(
        """
import os
from prometheus_client import CollectorRegistry
os.environ["PROMETHEUS_MULTIPROC_DIR"] = %r
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(registry.get_sample_value("c_total"))
"""
        % directory
    )
    assert out == "1.0\n"


def test_warnings_of_the_hook_end_nothing(program, tmp_path):
    """Another Python's native module, and a showwarning that raises."""
    package = tmp_path / "broken" / "shmetrics"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('not for this Python')\n")
    out = program(
        """
import warnings
def showwarning(*_, **__):
    raise OSError
warnings.showwarning = showwarning
from prometheus_client import Counter
Counter("c", "Help.").inc()
print("goes on")
""",
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
        PYTHONPATH=str(tmp_path / "broken"),
    )
    assert out == "goes on\n"
    assert os.environ.get("PYTHONPATH") is None
