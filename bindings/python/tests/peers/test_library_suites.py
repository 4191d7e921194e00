"""The own tests of two libraries that are built on prometheus_client: each must end with the
drop-in as it ends without.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from suites import HERE, Run, problems
from support import SDISTS

INSTRUMENTATOR = HERE / "vendored" / "fastapi-instrumentator" / "tests"
FLASK_EXPORTER = SDISTS / "prometheus_flask_exporter-0.23.2" / "tests"
UNITTEST_HELPER = str(HERE / "vendored" / "flask-exporter")
ASYNC = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")


def _both(suite: Path, into: Path, shm: Path, *arguments: str, path: str = "", directory: bool = False):
    """Stock and with the drop-in, the environment variable there from the start or not at all."""
    if not suite.exists():
        pytest.skip(f"the source distribution of {FLASK_EXPORTER.parent.name} could not be had")
    found = {}
    for backend in ("stock", "dropin"):
        environment = {}
        if directory:
            at = into / f"{backend}-directory"
            at.mkdir()
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(at)
        # One after the other: they listen on ports of their choice.
        found[backend] = Run(suite, into / backend, shm, backend, *arguments, path=path, **environment).wait()
    if directory:
        assert {file.name for file in (into / "dropin-directory").iterdir()} <= {"gauge_max_shmetrics.db"}, "the drop-in writes none"
    return found["stock"], found["dropin"]


def test_fastapi_instrumentator_in_multiprocess_mode(tmp_path, shm):
    stock, ours = _both(INSTRUMENTATOR, tmp_path, shm, *ASYNC, directory=True)
    assert (stock.number("passed"), stock.number("failed")) == (4, 0), stock.log
    assert list((tmp_path / "stock-directory").iterdir()) != [], "stock writes files"
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log


def test_fastapi_instrumentator_whose_variable_comes_late(tmp_path, shm):
    """The three tests for the case that the variable is not there at the start: the hook is
    installed and changes nothing.
    """
    stock, ours = _both(INSTRUMENTATOR, tmp_path, shm, *ASYNC)
    assert (stock.number("passed"), stock.number("failed")) == (3, 0), stock.log
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log


def test_flask_exporter(tmp_path, shm):
    """All its tests. A few fail with stock, too: they are older than Flask. Those of multiprocess
    mode set the variable themselves.
    """
    stock, ours = _both(FLASK_EXPORTER, tmp_path, shm, path=UNITTEST_HELPER)
    multiprocess = {test: outcome for test, outcome in stock.of.items() if test.startswith("test_extensions.py")}
    assert "passed" in multiprocess.values() and "failed" not in multiprocess.values(), stock.log
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log


def test_flask_exporter_in_multiprocess_mode(tmp_path, shm):
    """Its tests of multiprocess mode, with the variable there from the start. The others do not
    expect it.
    """
    stock, ours = _both(FLASK_EXPORTER / "test_extensions.py", tmp_path, shm, path=UNITTEST_HELPER, directory=True)
    assert stock.number("passed") >= 4 and stock.number("failed") == 0, stock.log
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log
