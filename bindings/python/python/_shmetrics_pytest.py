"""The plugin for pytest: fixtures that leave nothing behind. It loads nothing of shmetrics before a
test uses a fixture.
"""

import os
import shutil
import tempfile

import pytest

#: By process, as tests may run in forked ones: the segment, and how many tests have used it.
_segments = {}
#: How many tests share a segment: removed families make it slower.
_TESTS = 500
_private = []


@pytest.fixture
def shmetrics_segment():
    """A segment without any metric, in memory of this process and its forked children.

    The tests of a process share one segment. Families that a test has registered are removed after
    the test, so memory and file descriptors do not add up.
    """
    from shmetrics import Segment, _functions

    functions = set(_functions._functions)
    segment, tests = _segments.get(os.getpid(), (None, 0))
    if segment is None or tests >= _TESTS:
        segment, tests = Segment(anonymous=True), 0
    _segments[os.getpid()] = segment, tests + 1
    yield segment
    for added in set(_functions._functions) - functions:
        _functions._functions.pop(added, None)
    try:
        for family in segment.families():
            segment.unregister(family[0])
        if segment.families():
            raise OSError("something is left")
    except (OSError, ValueError):
        del _segments[os.getpid()]  # the next test has another one


@pytest.fixture
def shmetrics_registry(shmetrics_segment):
    """A registry without any metric: ``Counter(..., registry=shmetrics_registry)``."""
    from shmetrics import CollectorRegistry

    return CollectorRegistry(segment=shmetrics_segment)


def pytest_addoption(parser):
    parser.addini(
        "shmetrics_private",
        "Segments that the tests and their programs make are in a directory of this test process (SHMETRICS_DIR), removed at the end.",
        type="bool",
        default=False,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    """Before any conftest can import the application."""
    if early_config.getini("shmetrics_private"):
        directory = tempfile.mkdtemp(prefix="shmetrics-pytest.", dir="/dev/shm")
        _private.append((directory, os.getpid(), os.environ.get("SHMETRICS_DIR")))
        os.environ["SHMETRICS_DIR"] = directory


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    while _private and _private[-1][1] == os.getpid():
        directory, _, before = _private.pop()
        if before is None:
            os.environ.pop("SHMETRICS_DIR", None)
        else:
            os.environ["SHMETRICS_DIR"] = before
        shutil.rmtree(directory, ignore_errors=True)
