"""A plugin for prometheus_client's own tests: multiprocess mode in each of them, in a fresh
directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings

import pytest
from prometheus_client import values


@pytest.fixture(autouse=True)
def _multiprocess(request):
    if "test_multiprocess" in request.node.nodeid:  # sets it up itself
        yield
        return
    directory = tempfile.mkdtemp()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
    values.ValueClass = values.MultiProcessValue()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about labels that are removed
        yield
    values.close_all_multiprocess_files()
    values.ValueClass = values.MutexValue
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    shutil.rmtree(directory)
