"""A directory as a segment's name, and shmetrics-run."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys

import pytest

from shmetrics import Segment, _directory
from shmetrics._dropin import segments

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
    encoded = _directory.encoded(path)
    assert _directory.decoded(encoded) == path
    assert Segment("t" + encoded).path.endswith(encoded), "a segment may be called so"


def test_long_paths_are_shortened():
    one, two = ("/tmp/" + "ü" * 300 + end for end in "ab")
    assert _directory.encoded(one) != _directory.encoded(two) and len(_directory.encoded(one)) <= 189
    assert _directory.decoded(_directory.encoded(one)) is None
    name = "%s:%016x.%s" % (_directory.stem_of(one), 1, _directory.mount_namespace())
    assert not _directory.is_orphaned(name), "it cannot be known"
    assert Segment(name + ".u4294967294").path.endswith("4294967294"), "there is room for a user"


@pytest.fixture
def d(tmp_path):
    """A directory below the current directory of programs, where its name is `d`."""
    (tmp_path / "d").mkdir()
    return tmp_path / "d"


def name(path):
    return _directory.claim(str(path)).name


def test_gone_is_what_is_seen_to_be_gone(d, tmp_path, monkeypatch):
    segment = name(d)
    assert not _directory.is_orphaned(segment)
    (d / _directory.MARKER).unlink()
    assert _directory.is_orphaned(segment), "it was wiped"
    assert name(d) != segment and _directory.is_orphaned(segment), "it is another one"
    segment = name(d)
    d.rename(tmp_path / "e")
    assert _directory.is_orphaned(segment)
    (tmp_path / "e").rename(d)
    assert not _directory.is_orphaned(segment)
    parts = _directory.split(segment)
    elsewhere = "%s:%s.%016x" % (parts.stem, "0" * 16, int(parts.namespace, 16) ^ 1)
    assert not _directory.is_orphaned(elsewhere), "of another mount namespace"

    def may_not(path):
        raise PermissionError

    monkeypatch.setattr(_directory.cleanup, "read", may_not)
    assert not _directory.is_orphaned(segment)
    assert not _directory.is_orphaned("shop") and not _directory.is_orphaned(_directory.PREFIX + ":tmp@zz:1.2")


def test_all_ways_to_a_directory_are_one(d, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to("d")
    monkeypatch.chdir(tmp_path)
    assert len({name(p) for p in ("d", "d/", "./link", str(d), "link/../d")}) == 1


def test_a_copy_is_another_directory(d, tmp_path):
    first = name(d)
    shutil.copytree(d, tmp_path / "e")
    d.rename(tmp_path / "f")
    copy = name(tmp_path / "e")
    assert first == name(tmp_path / "f") != copy == name(tmp_path / "e")
    assert _directory.split(first).stem == _directory.split(copy).stem


RACE = """
import os, sys
sys.stdin.read(1)
from shmetrics import _directory
print(_directory.claim("d").name)
"""


@pytest.mark.parametrize("links", [True, False])
def test_processes_that_start_at_once_agree(links, d, tmp_path):
    code = RACE if links else RACE.replace("print(", "os.link = None\ndef no(*a, **k): raise PermissionError(1, 'no links')\nos.link = no\nprint(")
    run = [subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(10)]
    for process in run:
        process.stdin.write(b".")
        process.stdin.flush()
    names = {process.communicate()[0] for process in run}
    assert len(names) == 1 and names != {b""}
    assert os.listdir(d) == [_directory.MARKER]


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 5000, b"\nshmetrics-marker 1 default 1 2\n", b"\nshmetrics-marker 1 ../../x 1 2\n"])
def test_a_damaged_marker_is_made_anew(content, d):
    (d / _directory.MARKER).write_bytes(content)
    with pytest.raises(_directory.MarkerError, match="damaged"):
        _directory.find(str(d))
    place = _directory.claim(str(d))
    assert place.problem is None and _directory.find(str(d)) == (place.name, True)


def test_a_directory_that_takes_no_marker(d, monkeypatch):
    def full(descriptor, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_directory.marker, "_write", full)
    place = _directory.claim(str(d))
    assert "No space left" in place.problem and os.listdir(d) == []
    assert _directory.claim(str(d)).name == place.name
    held = Segment(place.name)
    monkeypatch.undo()
    monkeypatch.setenv("SHMETRICS_DIR", os.path.dirname(held.path))
    assert _directory.claim(str(d)) == (place.name, None, True), "while it is in use"


def test_processes_elsewhere_that_have_a_directory_without_a_marker(tmp_path, monkeypatch):
    """Their segments are found by the directory's numbers, under any path. One that no process counts
    in fails the page.
    """
    real = os.path.realpath(tmp_path)
    numbers = os.stat(real).st_dev, os.stat(real).st_ino

    def segment(namespace, path, numbers=numbers):
        stem = _directory.stem_of(path)
        return "%s:%s.%s" % (stem, _directory.identity_without_marker(namespace, numbers, stem), namespace)

    def no_marker(real, stem):
        raise PermissionError(13, "Permission denied", real)

    monkeypatch.setattr(_directory.choice, "create_marker", no_marker)
    foreign = Segment(segment("%016x" % 1, real, (numbers[0], numbers[1] + 1)))
    assert _directory.find(real) == (_directory.without_marker(real, _directory.stem_of(real)), False)
    there = Segment(segment("%016x" % 1, "/other/path"))
    name = there.path.rpartition("shmetrics-")[2]
    assert _directory.find(real) == (name, True)
    assert _directory.claim(real) == _directory.Claim(name, "%s: Permission denied" % real, True)
    # A process of this mount namespace began to count at the same time: both are on the page.
    own = Segment(_directory.without_marker(real, _directory.stem_of(real)))
    assert segments.segment_at(real).path == own.path
    assert [reader.path for reader in segments.further_segments(real)] == [there.path]
    assert foreign.is_current


def test_a_segment_of_such_a_directory_that_no_process_counts_in(d, program):
    real = os.path.realpath(d)
    stem, namespace = _directory.stem_of("/other"), "%016x" % 1
    numbers = os.stat(real).st_dev, os.stat(real).st_ino
    program("from shmetrics import Segment; Segment('%s:%s.%s')" % (stem, _directory.identity_without_marker(namespace, numbers, stem), namespace))
    with pytest.raises(_directory.MarkerError, match="no process counts in the segment"):
        _directory.find(real)
    assert _directory.claim(real).problem is None and _directory.find(real)[1], "a marker settles it"


@pytest.mark.parametrize("numbers", [0, 1, 2])
def test_every_version_finds_its_own_entries_in_the_marker(numbers, d, monkeypatch):
    """Entries had no time before 0.18, and no help before 0.16."""
    monkeypatch.setattr(_directory.marker, "_note_values", lambda: numbers)
    name(d)
    data = (d / _directory.MARKER).read_bytes()
    used, at, keys = struct.unpack_from("i", data)[0], 8, []
    while at < used:
        (length,) = struct.unpack_from("i", data, at)
        keys.append(json.loads(data[at + 4 : at + 4 + length]))
        at += 4 + length + (8 - (length + 4) % 8)
        assert struct.unpack_from("d", data, at) == (1.0,)
        at += 8 * numbers
    assert at == used and [len(key) for key in keys] == [4] * bool(numbers)


def test_the_marker_is_an_empty_file_of_prometheus_client(d, program):
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="d")
    (marker,) = d.iterdir()
    assert marker.stat().st_mode & 0o777 == 0o644
    note = program(
        """
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
Counter("mine", "help").inc()
mark_process_dead(1)
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
""",
        PROMETHEUS_MULTIPROC_DIR="d",
        SHMETRICS_PYTHON="0",
    )
    assert 'shmetrics_segment_not_read{segment="%s"} 1.0' % _directory.stem_of(str(d)) in note and "mine_total 1.0" in note


def test_restarts_go_on(d, program):
    assert [program(COUNT, PROMETHEUS_MULTIPROC_DIR="d") for _ in range(3)] == ["1.0\n", "2.0\n", "3.0\n"]


def test_a_directory_that_is_made_again_begins_anew(program, tmp_path, shm):
    for _ in range(3):
        (tmp_path / "d").mkdir()
        assert program(COUNT, PROMETHEUS_MULTIPROC_DIR="d") == "1.0\n"
        assert len(os.listdir(shm)) == 1, "the old one's segment is gone"
        shutil.rmtree(tmp_path / "d")
    (tmp_path / "other").mkdir()
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="other")
    assert len(os.listdir(shm)) == 1


@pytest.mark.parametrize("wipe", ["rm -rf d; mkdir d", "rm -rf d/*", "rm d/*.db", "find d -type f -delete"])
def test_wiping_as_people_do_begins_anew(wipe, d, program, tmp_path, shm):
    for _ in range(3):
        assert program(COUNT, PROMETHEUS_MULTIPROC_DIR="d") == "1.0\n"
        subprocess.run(wipe, shell=True, check=True, cwd=tmp_path)
    assert len(os.listdir(shm)) == 1


def test_a_wipe_under_running_processes_waits_for_their_end(d, program, tmp_path):
    held = subprocess.Popen(
        [sys.executable, "-c", COUNT + "sys.stdout.flush(); input()"],
        cwd=tmp_path,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": "d"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert held.stdout.readline() == b"1.0\n"
    (d / _directory.MARKER).unlink()
    assert program(COUNT, PROMETHEUS_MULTIPROC_DIR="d") == "2.0\n", "they are not torn apart"
    assert os.listdir(d) == []
    held.communicate(b"\n")
    assert program(COUNT, PROMETHEUS_MULTIPROC_DIR="d") == "1.0\n"


def test_one_odd_file_stops_no_sweep(program, tmp_path, shm):
    for number in range(3):
        (tmp_path / "d").mkdir()
        program("import os\n" + COUNT + "os._exit(0)", PROMETHEUS_MULTIPROC_DIR="d")
        shutil.rmtree(tmp_path / "d")
    odd = _directory.stem_of(str(tmp_path / "a")) + ":%016x." % 1 + _directory.mount_namespace()
    pathlib.Path(shm, "shmetrics-" + odd).write_bytes(b"no segment")
    pathlib.Path(shm, "shmetrics-:" + odd).mkdir()
    (tmp_path / "e").mkdir()
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="e")
    assert len([f for f in os.listdir(shm) if ":d:" in f]) == 0 and len(os.listdir(shm)) == 3


def test_of_unused_segments_of_one_path_the_newest_stay(tmp_path, shm):
    stem = _directory.stem_of(str(tmp_path))
    held = Segment("%s:%016x.%016x" % (stem, 0, 0))
    code = "from shmetrics import Segment\nfor n in range(1, 21): Segment('%s:%%016x.%%016x' %% (n, n))" % stem
    subprocess.run([sys.executable, "-c", code], check=True)
    for number in range(1, 21):
        os.utime(pathlib.Path(shm) / ("shmetrics-%s:%016x.%016x" % (stem, number, number)), (number, number))
    _directory.sweep(stem + ":new")
    left = sorted(int(_directory.split(segment).namespace, 16) for segment in Segment.list())
    assert left == [0, *range(5, 21)] and held.is_current


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_paths_as_people_write_them(variable, d, program):
    code = COUNT.replace("MultiProcessCollector(registry)", "MultiProcessCollector(registry, path=PATH)")
    code = code.replace("registry = ", "import os\nfor PATH in (None, 'd', 'd/', './d', os.path.abspath('d')):\n registry = ")
    code = code.replace("\nMultiProcess", "\n MultiProcess").replace("\nprint", "\n print")
    for segment in ({}, {"SHMETRICS_SEGMENT": "shop"}):
        assert program(code, **{variable: "d"}, **segment) == "1.0\n" * 5
        assert program(code, **{variable: "d/"}, **segment) == "2.0\n" * 5


def test_a_program_that_changes_its_directory(d, program):
    changed = COUNT.replace("registry = ", "import os\nos.chdir('/')\nregistry = ").replace("(registry)", "(registry, path='%s')" % d)
    assert program(changed, PROMETHEUS_MULTIPROC_DIR="d") == "1.0\n"
    assert program(changed.replace(str(d), "d").replace("os.chdir('/')", "os.chdir('/tmp')"), status=1, PROMETHEUS_MULTIPROC_DIR="d")


def test_a_segment_in_use_stays(d, program, tmp_path, shm):
    used = Segment(name(d))
    shutil.rmtree(d)
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


def test_the_variable_may_name_the_segment(d, program, shm):
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="d", SHMETRICS_SEGMENT="shop")
    assert os.listdir(shm) == ["shmetrics-shop"] and os.listdir(d) == []
    assert program("import shmetrics\nprint(shmetrics.REGISTRY.get_sample_value('c_total'))", SHMETRICS_SEGMENT="shop") == "1.0\n"


def test_native_metrics_are_in_the_same_segment(d, program):
    program(COUNT + 'import shmetrics\nprint(shmetrics.Counter("c", "help").get())', PROMETHEUS_MULTIPROC_DIR="d")
    out = program("import shmetrics\nshmetrics.Counter('c', 'help').inc()\nprint(shmetrics.Counter('c', 'x').get())",
                  PROMETHEUS_MULTIPROC_DIR="d")
    assert out == "2.0\n"


class TestRun:
    @pytest.fixture(autouse=True)
    def temporary(self, monkeypatch, tmp_path_factory):
        self.temporary = tmp_path_factory.mktemp("temporary")
        monkeypatch.setenv("TMPDIR", str(self.temporary))

    def run(self, program, code=COUNT, *options, **more):
        return program(code, arguments=(RUN, *options, sys.executable, "-c"), **more)

    def test_begins_anew_and_writes_nothing_where_it_is(self, program, tmp_path, shm):
        assert [self.run(program) for _ in range(2)] == ["1.0\n", "1.0\n"]
        assert os.listdir(tmp_path) == []
        (segment,) = Segment.list()
        assert _directory.split(segment).stem == "run:" + _directory.encoded(str(tmp_path))

    def test_the_directory_of_the_program_may_be_removed(self, program):
        remove = "\nimport os, shutil; shutil.rmtree(os.environ['PROMETHEUS_MULTIPROC_DIR'])"
        assert [self.run(program, COUNT + remove) for _ in range(2)] == ["1.0\n", "1.0\n"]
        assert [self.run(program, COUNT, "--keep") for _ in range(2)] == ["1.0\n", "2.0\n"]

    def test_two_services_in_directories_of_one_name(self, tmp_path, shm):
        for place in ("one", "two"):
            (tmp_path / place / "current").mkdir(parents=True)
            command = [RUN, sys.executable, "-c", COUNT]
            assert subprocess.check_output(command, cwd=tmp_path / place / "current") == b"1.0\n"
        assert len(os.listdir(shm)) == 2

    def test_keeps_while_somebody_is_there(self, program, tmp_path):
        self.run(program)
        held = Segment(*Segment.list())
        assert self.run(program) == "2.0\n"
        assert held.is_current
        shutil.rmtree(self.temporary)
        self.temporary.mkdir()
        assert self.run(program) == "3.0\n", "a cleaner of temporary files does not separate processes"

    def test_another_user_has_made_the_directory(self, program, shm):
        if os.getuid() != 0:
            pytest.skip("only root can be another user")
        base = self.temporary / "shmetrics-0"
        base.mkdir()
        os.chown(base, 65534, 65534)
        assert [self.run(program) for _ in range(2)] == ["1.0\n", "1.0\n"]
        assert os.listdir(base) == []

    def test_names(self, program, shm, tmp_path):
        self.run(program, COUNT, "--segment", "shop")
        self.run(program, COUNT, SHMETRICS_SEGMENT="other")
        assert sorted(os.listdir(shm)) == ["shmetrics-other", "shmetrics-shop"]
        (tmp_path / "d").mkdir()
        self.run(program, COUNT, PROMETHEUS_MULTIPROC_DIR="d")
        assert "shmetrics-" + name(tmp_path / "d") in os.listdir(shm)

    def test_errors(self, program):
        assert "No such file" in program("x", status=127, arguments=(RUN, "no-such-program"))
        assert "which program" in program("--keep", status=2, arguments=(RUN,))
        assert program("-c", status=0, arguments=(RUN, "--", sys.executable, "-c", "print(1)")) == "1\n"

    @pytest.mark.parametrize("name", ["a b", "", ".", "no/tmpfs"])
    def test_wrong_names(self, name, program, shm):
        """On the command line an error; in the environment a warning, and counters begin at 0 all the
        same.
        """
        assert "--segment" in self.run(program, COUNT, "--segment", name, status=2) and os.listdir(shm) == []
        assert [self.run(program, SHMETRICS_SEGMENT=name) for _ in range(2)] == ["1.0\n", "1.0\n"]

    def test_the_current_directory_is_gone(self, tmp_path, shm):
        for place in ("one", "two"):
            (tmp_path / place).mkdir()
            command = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", RUN, sys.executable, "-c", COUNT]
            assert subprocess.check_output(command, cwd=tmp_path / place) == b"1.0\n"
        assert len(os.listdir(shm)) == 2


def test_name_and_page_from_the_shell(d, program, tmp_path):
    shell = (sys.executable, "-m", "shmetrics")
    assert "nothing has counted" in program("d", arguments=(*shell, "render"), status=1)
    before = program("d", arguments=(*shell, "name"))
    program(COUNT, PROMETHEUS_MULTIPROC_DIR="d")
    assert program("d", arguments=(*shell, "name")) == before == name(d) + "\n"
    assert "c_total 1\n" in program("render", arguments=shell, PROMETHEUS_MULTIPROC_DIR="d")
    (d / "counter_7.db").write_bytes(b"")
    told = subprocess.run([*shell, "render", "d"], cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0 and "not on this page: " in told.stderr and "counter_7.db" in told.stderr
    assert "shmetrics-default" in program("render", arguments=shell, status=1)
