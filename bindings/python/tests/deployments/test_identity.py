"""One directory is one segment, wherever it is seen from; two are never one."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from places import COUNT, Stays, and_a_child, counts, needs_overlay, overlay
from support import needs_mounts

MARKER = "gauge_max_shmetrics.db"


@pytest.fixture
def container(tmp_path):
    """The commands that make a container's file system, of an image that all have, at one path; and
    that path.
    """
    # Overlayfs wants attributes that the file system of the temporary directory may not have.
    ground = tmp_path / "ground"
    for part in ("ground", "image", "root"):
        (tmp_path / part).mkdir()

    def commands(number: int) -> str:
        return overlay(tmp_path / "image", ground / str(number), tmp_path / "root")

    return commands, tmp_path / "image", tmp_path / "root"


@needs_overlay
@pytest.mark.parametrize("baked", [False, True], ids=["", "with a marker in the image"])
def test_containers_of_one_image_that_share_memory(baked, container, shm):
    commands, image, root = container
    (image / "metrics").mkdir()
    if baked:
        assert counts(image / "metrics", shm) == "1.0"
    with Stays(root / "metrics", shm, 5, before=commands(1)) as first, Stays(root / "metrics", shm, 100, before=commands(2)) as second:
        assert (first.first, second.first) == ("5.0", "100.0")
        assert first.page() == "['c_total 5.0', 'd_total 1.0']" and second.page() == "['c_total 100.0', 'd_total 1.0']"
        # Another program in the container: the same segment.
    segments = [path for path in shm.iterdir()]
    assert len(segments) == 2 + baked, segments


@needs_overlay
def test_a_copy_up_changes_nothing(container, shm):
    commands, image, root = container
    (image / "metrics").mkdir()
    assert counts(image / "metrics", shm) == "1.0"
    code = COUNT.replace("try:\n    found", "import os, subprocess\nTOUCH\ntry:\n    found")
    touch = f"os.chmod({str(root / 'metrics' / MARKER)!r}, 0o640); os.chmod({str(root / 'metrics')!r}, 0o700); open({str(root / 'metrics' / 'new')!r}, 'w').close()"
    out = counts(root / "metrics", shm, before=commands(1), code=code.replace("TOUCH", touch) + and_a_child())
    assert out == "1.0\n3.0"


@needs_overlay
def test_a_copy_up_by_mounts_elsewhere(container, shm, tmp_path):
    """And a bind mount of the container's directory under another path, as of a volume in an inner
    container.
    """
    commands, image, root = container
    (image / "metrics").mkdir()
    (tmp_path / "elsewhere").mkdir()
    before = f"{commands(1)}; mount --bind {root}/metrics {tmp_path}/elsewhere"
    again = and_a_child(f"os.environ['PROMETHEUS_MULTIPROC_DIR'] = {str(tmp_path / 'elsewhere')!r}")
    assert counts(root / "metrics", shm, before=before, code=COUNT + again) == "1.0\n3.0"


@needs_mounts
def test_private_temporary_directories(shm, tmp_path):
    """As with systemd's PrivateTmp: two services have directories at one path. Neither removes
    files of the other.
    """
    for part in ("one", "two", "tmp"):
        (tmp_path / part / "metrics").mkdir(parents=True)
    service = {name: f"mount --bind {tmp_path}/{name} {tmp_path}/tmp" for name in ("one", "two")}
    found = [counts(tmp_path / "tmp" / "metrics", shm, before=service[name]) for name in ("one", "two", "one", "two", "one")]
    assert found == ["1.0", "1.0", "2.0", "2.0", "3.0"]
    # Nor does one that sees neither.
    (tmp_path / "other").mkdir()
    assert counts(tmp_path / "other", shm) == "1.0"
    assert counts(tmp_path / "tmp" / "metrics", shm, before=service["two"]) == "3.0"
    assert len(list(shm.iterdir())) == 3


@pytest.fixture
def volume(tmp_path):
    """The commands that mount one volume under this name."""

    def commands(name: str) -> str:
        for part in ("volume", name):
            (tmp_path / part).mkdir(exist_ok=True)
        return f"mount --bind {tmp_path}/volume {tmp_path}/{name}"

    return commands


@needs_mounts
def test_a_volume_under_another_path(volume, shm, tmp_path):
    with Stays(tmp_path / "app", shm, 5, before=volume("app")) as app:
        assert counts(tmp_path / "sidecar", shm, 0, before=volume("sidecar")) == "5.0"
        assert counts(tmp_path / "sidecar", shm, 2, before=volume("sidecar")) == "7.0"
        assert app.page() == "['c_total 7.0', 'd_total 1.0']"


@needs_mounts
def test_a_wipe_from_another_container_is_not_silent(volume, shm, tmp_path):
    with Stays(tmp_path / "app", shm, 5, before=volume("app")) as app:
        (tmp_path / "volume" / MARKER).unlink()
        assert counts(tmp_path / "other", shm, 2, before=volume("other")) == "2.0"
        assert app.page() == "['c_total 2.0']", "the page is the newer processes'"


def read_only(directory) -> str:
    return f"mount --bind {directory} {directory}; mount -o remount,bind,ro {directory}"


@needs_mounts
@pytest.mark.parametrize("how", ["ro", "size=4k"], ids=["read-only", "full"])
def test_a_directory_that_takes_no_marker(how, shm, tmp_path):
    (tmp_path / "d").mkdir()
    before = f"mount -t tmpfs -o size=64k,mode=755 none {tmp_path}/d; head -c 60k /dev/zero > {tmp_path}/d/full; head -c 9k /dev/zero >> {tmp_path}/d/full || true"
    if how == "ro":
        before = read_only(tmp_path / "d")
    out = counts(tmp_path / "d", shm, before=before, code=COUNT + and_a_child()).splitlines()
    assert [line for line in out if not line.startswith("warned")] == ["1.0", "3.0"], out
    (warned,) = [line for line in out if line.startswith("warned")]
    assert ("Read-only" if how == "ro" else "No space") in warned and "SHMETRICS_SEGMENT" in warned and str(tmp_path / "d") in warned


@needs_mounts
def test_readers_elsewhere_of_a_directory_that_takes_no_marker(shm, tmp_path):
    """From another mount namespace and under another path: the page is whole while a process counts,
    and fails when none does.
    """
    directory, sidecar = tmp_path / "d", tmp_path / "sidecar"
    for path in (directory, sidecar):
        path.mkdir()
    closed = read_only(directory)
    bound = f"mount --bind {directory} {sidecar}"
    with Stays(directory, shm, 5, before=closed) as app:
        assert counts(directory, shm, 0) == "5.0"
        assert counts(sidecar, shm, 0, before=bound) == "5.0"
        assert counts(directory, shm, 2, before=closed).splitlines()[0] == "7.0", "another container counts with it"
        assert len(list(shm.iterdir())) == 1
        app.page()  # a warning
    for before in ("", closed):
        out = counts(directory, shm, 0, before=before)
        assert out.startswith("SegmentUnreadable") and "no process counts" in out
    for segment in shm.iterdir():
        segment.unlink()
    out = counts(directory, shm, 0, before=closed)
    assert out.startswith("SegmentUnreadable") and "its file system is read-only" in out, "who counts may be elsewhere"


@needs_mounts
def test_who_was_there_before_the_marker_is_on_the_page(shm, tmp_path):
    """A container in which the directory is read-only begins to count before another one creates the
    marker.
    """
    directory = tmp_path / "d"
    directory.mkdir()
    closed = read_only(directory)
    with Stays(directory, shm, 1, before=closed) as first:
        assert first.first == "1.0"
        assert counts(directory, shm, 10) == "11.0"
        assert counts(directory, shm, 0) == "11.0"
        assert "takes no marker" in first.page(), "the warning comes first"
        assert first.page() == "['c_total 11.0', 'd_total 1.0']"
        assert "wiped" not in counts(directory, shm, 0, before=closed)


def test_a_directory_that_is_not_there(shm, tmp_path):
    code = COUNT.replace("try:\n    found", f"import os; os.mkdir({str(tmp_path / 'd')!r})\ntry:\n    found")
    out = counts(tmp_path / "d", shm, code=code)
    assert out.startswith("1.0\nwarned: ") and "No such file" in out and out.count("warned") == 1


def test_directories_of_one_last_name(shm, tmp_path):
    for app in ("one", "two"):
        (tmp_path / app / "current").mkdir(parents=True)
    found = [counts(tmp_path / app / "current", shm) for app in ("one", "two", "one")]
    assert found == ["1.0", "1.0", "2.0"]


def test_a_release_that_is_a_copy(shm, tmp_path):
    """`cp -a` of the last release, with the directory in it."""
    (tmp_path / "1" / "metrics").mkdir(parents=True)
    with Stays(tmp_path / "1" / "metrics", shm, 5):
        subprocess.run(["cp", "-a", tmp_path / "1", tmp_path / "2"], check=True)
        assert counts(tmp_path / "2" / "metrics", shm, 2) == "2.0"
        assert counts(tmp_path / "1" / "metrics", shm, 2) == "7.0"


def test_the_directory_is_moved(shm, tmp_path):
    (tmp_path / "a").mkdir()
    assert counts(tmp_path / "a", shm) == "1.0"
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "link").symlink_to("b")
    assert counts(tmp_path / "link", shm) == "2.0"


def test_a_marker_that_names_a_foreign_segment(shm, tmp_path):
    """A marker does not give access to other segments."""
    (tmp_path / "d").mkdir()
    for name in (b"default", b"../../etc/passwd", b"/dev/shm/x", b"multiproc:x/y:0123456789abcdef"):
        (tmp_path / "d" / MARKER).write_bytes(b"\nshmetrics-marker 1 " + name + b" 1 2\n")
        assert counts(tmp_path / "d", shm) == "1.0"
        shutil.rmtree(tmp_path / "d")
        (tmp_path / "d").mkdir()
    (tmp_path / "d" / MARKER).symlink_to("/etc/passwd")
    out = counts(tmp_path / "d", shm, 0)
    assert out.startswith("SegmentUnreadable") and MARKER in out
