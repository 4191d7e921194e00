"""The own tests of two libraries that are built on prometheus_client: each must end with the drop-in as it ends without."""

from __future__ import annotations

from pathlib import Path

import pytest
from suites import HERE, Run, problems
from support import SDISTS

INSTRUMENTATOR = HERE / "vendored" / "fastapi-instrumentator" / "tests"
FLASK_EXPORTER = SDISTS / "prometheus_flask_exporter-0.23.2" / "tests"
ASYNC = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")


def _both(suite: Path, into: Path, shm: Path, *arguments: str, path: str = "", directory: bool = False):
    """Stock and with the drop-in, the environment variable there from the start or not at all."""
    if not suite.is_dir():
        pytest.skip(f"the source distribution of {suite.parent.name} could not be had")
    runs = []
    for backend in ("stock", "dropin"):
        environment = {}
        if directory:
            at = into / f"{backend}-directory"
            at.mkdir()
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(at)
        runs.append(Run(suite, into / backend, shm, backend, *arguments, path=path, **environment))
    stock, found = (run.wait() for run in runs)
    if directory:
        assert list((into / "stock-directory").iterdir()) != [], "stock writes files"
        assert list((into / "dropin-directory").iterdir()) == [], "the drop-in writes none"
    return stock, found


def test_fastapi_instrumentator_in_multiprocess_mode(tmp_path, shm):
    stock, ours = _both(INSTRUMENTATOR, tmp_path, shm, *ASYNC, directory=True)
    assert (stock.number("passed"), stock.number("failed")) == (4, 0), stock.log
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log


def test_fastapi_instrumentator_whose_variable_comes_late(tmp_path, shm):
    """The three tests for the case that the variable is not there at the start: the hook is installed and changes nothing."""
    stock, ours = _both(INSTRUMENTATOR, tmp_path, shm, *ASYNC)
    assert (stock.number("passed"), stock.number("failed")) == (3, 0), stock.log
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log


@pytest.mark.parametrize("directory", [False, True], ids=["variable set by the tests", "variable there from the start"])
def test_flask_exporter(tmp_path, shm, directory):
    """Its tests of multiprocess mode are in test_extensions.py; the others come along. A few fail with stock, too: they are older than Flask."""
    path = str(HERE / "vendored" / "flask-exporter")
    stock, ours = _both(FLASK_EXPORTER, tmp_path, shm, path=path, directory=directory)
    extensions = {test: outcome for test, outcome in stock.of.items() if test.startswith("test_extensions.py")}
    assert "passed" in extensions.values() and "failed" not in extensions.values(), stock.log
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log
