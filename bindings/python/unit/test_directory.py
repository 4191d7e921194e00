"""A directory as a segment's name, and shmetrics-run."""

from __future__ import annotations

import os
import pathlib
import sys

import pytest

from shmetrics import Segment, _directory

COUNT = """
import sys
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.multiprocess import MultiProcessCollector
Counter("c", "help").inc()
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(registry.get_sample_value("c_total"))
"""
RUN = str(pathlib.Path(sys.executable).parent / "shmetrics-run")


@pytest.mark.parametrize("path", ["/", "/tmp/a b", "/tmp/ü:@", "/tmp/" + "x" * 150, b"/tmp/\xff"])
def test_paths_are_read_back(path):
    path = os.fsdecode(path)
    encoded = _directory._encoded(path)
    assert _directory._decoded(encoded) == path
    assert Segment("t" + encoded).path.endswith(encoded), "a segment may be called so"


def test_long_paths_are_shortened():
    one, two = ("/tmp/" + "ü" * 300 + end for end in "ab")
    assert _directory._encoded(one) != _directory._encoded(two) and len(_directory._encoded(one)) <= 200
    assert _directory._decoded(_directory._encoded(one)) is None
    assert not _directory.is_gone(_directory.PREFIX + _directory._encoded(one) + ":1.2"), "nobody can tell"


def test_gone_is_what_is_seen_to_be_gone(tmp_path, monkeypatch):
    segment = _directory.name(str(tmp_path))
    assert not _directory.is_gone(segment)
    tmp_path.rmdir()
    assert _directory.is_gone(segment)
    tmp_path.mkdir()
    assert _directory.is_gone(segment), "it is another one"

    def may_not(path):
        raise PermissionError

    monkeypatch.setattr(_directory, "_identity", may_not)
    assert not _directory.is_gone(segment)
    assert not _directory.is_gone("shop") and not _directory.is_gone(_directory.PREFIX + ":tmp@zz:1.2")


def test_all_ways_to_a_directory_are_one(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to("d")
    monkeypatch.chdir(tmp_path)
    assert len({_directory.name(p) for p in ("d", "d/", "./link", str(tmp_path / "d"), "link/../d")}) == 1


def test_restarts_go_on(program, tmp_path):
    (tmp_path / "d").mkdir()
    assert [program(COUNT, PROMETHEUS_MULTIPROC_DIR="d") for _ in range(3)] == ["1.0\n", "2.0\n", "3.0\n"]


def test_a_directory_that_is_made_again_begins_anew(program, tmp_path, shm):
    for _ in range(3):
        (tmp_path / "d").mkdir()
        assert program(COUNT, PROMETHEUS_MULTIPROC_DIR="d") == "1.0\n"
        assert len(os.listdir(shm)) == 1, "the old one's segment is gone"
        (tmp_path / "d").rmdir()
    (tmp_path / "other").mkdir()
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="other")
    assert len(os.listdir(shm)) == 1


def test_a_segment_in_use_stays(program, tmp_path, shm):
    (tmp_path / "d").mkdir()
    used = Segment(_directory.name(str(tmp_path / "d")))
    (tmp_path / "d").rmdir()
    (tmp_path / "e").mkdir()
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="e")
    assert used.is_current and len(os.listdir(shm)) == 2


def test_one_process_with_a_directory_for_each_test(program, shm):
    program(
        """
import os, shutil, tempfile
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.gettempdir()
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.multiprocess import MultiProcessCollector
for _ in range(5):
    with tempfile.TemporaryDirectory() as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        Counter("c", "help", registry=None).inc()
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        assert registry.get_sample_value("c_total") == 1
"""
    )
    assert os.listdir(shm) == []


def test_the_variable_may_name_the_segment(program, tmp_path, shm):
    (tmp_path / "d").mkdir()
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="d", SHMETRICS_SEGMENT="shop")
    assert os.listdir(shm) == ["shmetrics-shop"]
    assert program("import shmetrics\nprint(shmetrics.REGISTRY.get_sample_value('c_total'))", SHMETRICS_SEGMENT="shop") == "1.0\n"


def test_native_metrics_are_in_the_same_segment(program, tmp_path):
    (tmp_path / "d").mkdir()
    program(COUNT + 'import shmetrics\nprint(shmetrics.Counter("c", "help").get())', PROMETHEUS_MULTIPROC_DIR="d")
    out = program("import shmetrics\nshmetrics.Counter('c', 'help').inc()\nprint(shmetrics.Counter('c', 'x').get())",
                  PROMETHEUS_MULTIPROC_DIR="d")
    assert out == "2.0\n"


class TestRun:
    def run(self, program, code=COUNT, *options, **more):
        return program(code, arguments=(RUN, *options, sys.executable, "-c"), **more)

    def test_begins_anew_and_writes_nothing(self, program, tmp_path, shm):
        assert [self.run(program) for _ in range(2)] == ["1.0\n", "1.0\n"]
        assert os.listdir(tmp_path) == [] and os.listdir(shm) == ["shmetrics-" + tmp_path.name]

    def test_keeps_if_told(self, program):
        assert [self.run(program, COUNT, "--keep") for _ in range(2)] == ["1.0\n", "2.0\n"]

    def test_keeps_while_somebody_is_there(self, program, tmp_path):
        self.run(program)
        held = Segment(tmp_path.name)
        assert self.run(program) == "2.0\n"
        assert held.is_current

    def test_names(self, program, shm, tmp_path):
        self.run(program, COUNT, "--segment", "shop")
        self.run(program, COUNT, SHMETRICS_SEGMENT="other")
        assert sorted(os.listdir(shm)) == ["shmetrics-other", "shmetrics-shop"]
        (tmp_path / "d").mkdir()
        self.run(program, COUNT, PROMETHEUS_MULTIPROC_DIR="d")
        assert "shmetrics-" + _directory.name(str(tmp_path / "d")) in os.listdir(shm)

    def test_errors(self, program):
        assert "No such file" in program("x", status=127, arguments=(RUN, "no-such-program"))
        assert "which program" in program("--keep", status=2, arguments=(RUN,))
        assert program("-c", status=0, arguments=(RUN, "--", sys.executable, "-c", "print(1)")) == "1\n"


def test_name_and_page_from_the_shell(program, tmp_path):
    (tmp_path / "d").mkdir()
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="d")
    shell = (sys.executable, "-m", "shmetrics")
    assert program("d", arguments=(*shell, "name")).strip() == _directory.name(str(tmp_path / "d"))
    assert "c_total 1\n" in program("render", arguments=shell, PROMETHEUS_MULTIPROC_DIR="d")
    assert "there is no segment" in program("/", arguments=(*shell, "render"), status=1)
