"""A plugin for other people's tests: stops a run whose multiprocess values are not whose
SHMETRICS_BACKEND says, `stock` or `dropin`.

The drop-in comes by its start-up hook, as it does for everybody; SHMETRICS_PYTHON=0 keeps it away.
"""

from __future__ import annotations

import os
import shutil
import tempfile

from prometheus_client import values


def backend_of_a_counter() -> str:
    directory = tempfile.mkdtemp()
    before = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    try:
        values.MultiProcessValue()("counter", "probe", "probe_total", (), (), "A probe.").inc(1)
        return "stock" if any(name.startswith("counter_") for name in os.listdir(directory)) else "dropin"
    finally:
        if before is None:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
        else:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = before
        values.close_all_multiprocess_files()
        shutil.rmtree(directory)


def pytest_sessionstart() -> None:
    found, wanted = backend_of_a_counter(), os.environ["SHMETRICS_BACKEND"]
    assert found == wanted, f"this should be a run with {wanted}, and its counters are of {found}"
