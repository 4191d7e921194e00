"""The own tests of a library that is built on prometheus_client: each must end with the drop-in as
it ends without.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from suites import Run, problems
from support import SDISTS

FLASK_EXPORTER = SDISTS / "prometheus_flask_exporter-0.23.2" / "tests"


def _both(suite: Path, into: Path, shm: Path, directory: bool = False):
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
        found[backend] = Run(suite, into / backend, shm, backend, **environment).wait()
    if directory:
        assert {file.name for file in (into / "dropin-directory").iterdir()} <= {"gauge_max_shmetrics.db"}, "the drop-in writes none"
    return found["stock"], found["dropin"]


def test_flask_exporter(tmp_path, shm):
    """All its tests. A few fail with stock, too: they are older than Flask. Those of multiprocess
    mode set the variable themselves.
    """
    stock, ours = _both(FLASK_EXPORTER, tmp_path, shm)
    multiprocess = {test: outcome for test, outcome in stock.of.items() if test.startswith("test_extensions.py")}
    assert "passed" in multiprocess.values() and "failed" not in multiprocess.values(), stock.log
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log


def test_flask_exporter_in_multiprocess_mode(tmp_path, shm):
    """Its tests of multiprocess mode, with the variable there from the start. The others do not
    expect it.
    """
    stock, ours = _both(FLASK_EXPORTER / "test_extensions.py", tmp_path, shm, directory=True)
    assert stock.number("passed") >= 4 and stock.number("failed") == 0, stock.log
    assert problems(stock.of, ours.of, {}, {}) == [], ours.log
