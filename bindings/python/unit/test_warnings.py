"""Warnings are about a line of the application, and name the segment and what to do."""

from __future__ import annotations

import warnings

import pytest

import shmetrics
from shmetrics import Counter, Enum, Gauge, Histogram, Info, Summary


@pytest.mark.parametrize(
    "make",
    [
        lambda of: Gauge("c_total", "help", segment=of),
        lambda of: Counter("c", "help", ["b"], segment=of),
        lambda of: Histogram("c", "help", segment=of),
        lambda of: Summary("c", "help", segment=of),
        lambda of: Enum("c", "help", states=["a"], segment=of),
        lambda of: Info("c", "help", segment=of).info({"a": "b"}),
    ],
)
def test_of_native_metrics(make, segment):
    Counter("c", "help", ["a"], segment=segment)
    with pytest.warns(shmetrics.SegmentWarning) as said:
        make(segment)
    (warning,) = said
    assert (warning.filename, warning.lineno) == (__file__, make.__code__.co_firstlineno)
    text = str(warning.message)
    assert "segment unit" in text and "replace=True" in text and " c" in text, text


def test_of_a_full_segment(shm):
    small = shmetrics.Segment("small", max_size=512 << 10)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for i in range(100_000):
            Histogram("h%d" % i, "help " * 1000, segment=small)
            if said:
                break
    assert "segment small" in str(said[0].message) and "SHMETRICS_MAX_SIZE" in str(said[0].message)
    assert said[0].filename == __file__


BEGIN = """
import warnings
from prometheus_client import Counter, Enum, Gauge, Histogram, Info
Counter("c", "help", ["a"], registry=None).labels("x").inc()

"""


@pytest.mark.parametrize(
    "make",
    [
        'Gauge("c_total", "help", registry=None)',
        'Counter("c", "help", ["b"], registry=None).labels("x").inc()',
        'Counter("c", "help", ["b"], registry=None).labels(b="x")',
        'Enum("c", "help", states=["a"], registry=None)',
        'Info("shmetrics_x", "help", registry=None).info({"a": "b"})',
    ],
)
def test_of_the_drop_in(make, program, tmp_path):
    out = program(
        BEGIN
        + """
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    # line 9
    %s
for w in said:
    print(w.filename, w.lineno, "is not on pages of the segment multiproc:" in str(w.message), "another name" in str(w.message))
"""
        % make,
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
    )
    assert out == "<string> 10 True True\n", out


def test_of_a_module_that_makes_metrics_for_others(program, tmp_path):
    """The line is that of the library which makes the metric, as Python's warnings have it, not one
    of the package.
    """
    (tmp_path / "library.py").write_text("from prometheus_client import Gauge\n\ndef make():\n    return Gauge('c_total', 'help', registry=None)\n")
    out = program(
        BEGIN.replace("import warnings", "import sys, warnings; sys.path.insert(0, '.')")
        + """
import library
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    library.make()
print(said[0].filename.rpartition("/")[2], said[0].lineno)
""",
        PROMETHEUS_MULTIPROC_DIR=str(tmp_path),
    )
    assert out == "library.py 4\n"


def test_told_once_for_a_line(program, tmp_path):
    """The filter of Python is for each line of the application."""
    out = program(
        """
import sys
import shmetrics
shmetrics.configure(anonymous=True)
shmetrics.Counter("c", "help", ["a"])
for _ in range(3):
    shmetrics.Gauge("c_total", "help")
sys.stderr.flush()
""".replace("import sys\n", "import sys; sys.stderr = sys.stdout\n")
    )
    assert out.count("SegmentWarning") == 1 and out.startswith("<string>:7: SegmentWarning: "), out


def test_without_any_frame_of_the_application(program):
    program(
        """
import warnings
from shmetrics import _segment
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    exec(compile("_segment.warn('x')", "inner", "exec"), {"_segment": _segment, "__name__": "shmetrics.inner"})
assert said[0].filename == "<string>" and said[0].lineno == 6
"""
    )
