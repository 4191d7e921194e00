"""If no segment can be opened, or the segment is full, the application continues, with one warning.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import support
from programs import KINDS, MARKER, environment, program, run
from server import Server, gunicorn
from support import get, in_mount_namespace, needs_mounts, samples, total

COUNT = """
warnings.simplefilter("always")
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    counter = Counter("requests_total", "Requests.", ["path"])
    gauge = Gauge("busy", "Busy.", multiprocess_mode="livesum")
    times = Histogram("times_seconds", "Times.")
    for _ in range(3):
        counter.labels("/").inc()
        gauge.inc()
        times.observe(0.2)
    gauge.dec()
    shown = page()
print([str(w.message) for w in said if w.category.__name__ == "SegmentWarning"])
print(shown)
"""


def check_goes_on(done: subprocess.CompletedProcess) -> None:
    assert done.returncode == 0, done.stderr
    said, _, page = done.stdout.partition("\n")
    assert len(eval(said)) == 1, said
    found = samples(page)
    assert total(found, "requests_total", path="/") == 3
    assert total(found, "busy") == 2
    assert total(found, "times_seconds_count") == 3


@pytest.mark.parametrize("directory", ["/nowhere/at/all", "/dev/null"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_directory(kind, directory, shm, tmp_path):
    check_goes_on(run(kind, COUNT, shm, tmp_path, SHMETRICS_DIR=directory))


@pytest.mark.parametrize("content", [b"", b"not a segment" * 1000, b"\0" * 65536], ids=["empty", "text", "zeros"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_no_segment(kind, content, shm, tmp_path):
    run(kind, "Counter('requests_total', 'Requests.').inc()", shm, tmp_path)  # which file it is
    (segment,) = shm.iterdir()
    segment.unlink()
    segment.write_bytes(content)
    check_goes_on(run(kind, COUNT, shm, tmp_path))


def run_with_mounts(mounts: str, kind: str, directory: Path) -> subprocess.CompletedProcess:
    """The program in a mount namespace, with the default directory for segments."""
    variables = environment(kind, Path("/dev/shm"), directory)
    del variables["SHMETRICS_DIR"]
    return support.run(in_mount_namespace(mounts, sys.executable, "-c", program(kind, COUNT)), variables, directory)


# /dev is a tmpfs with some devices and without /dev/shm.
NO_SHARED_MEMORY = (
    "mount -t tmpfs none /mnt; mkdir /mnt/dev; mount --bind /dev /mnt/dev; mount -t tmpfs none /dev; "
    "for d in null zero urandom random; do touch /dev/$d; mount --bind /mnt/dev/$d /dev/$d; done"
)
MOUNTS = {
    "read-only": "mount -t tmpfs -o ro none /dev/shm",
    "full": "mount -t tmpfs -o size=64k none /dev/shm; head -c 60k /dev/zero > /dev/shm/full",
    "not there": NO_SHARED_MEMORY,
}


@needs_mounts
@pytest.mark.parametrize("mounts", MOUNTS.values(), ids=MOUNTS)
@pytest.mark.parametrize("kind", KINDS)
def test_shared_memory_that_cannot_be_used(kind, mounts, tmp_path):
    check_goes_on(run_with_mounts(mounts, kind, tmp_path))


@needs_mounts
@pytest.mark.parametrize("kind", KINDS)
def test_read_only_root(kind, tmp_path):
    """With a tmpfs for shared memory all is well; that the directory takes no marker is said."""
    mounts = "mount -t tmpfs none /dev/shm; mount -o remount,bind,ro /; ! touch /nothing 2>/dev/null"
    done = run_with_mounts(mounts, kind, tmp_path)
    assert done.returncode == 0, done.stderr
    said, _, page = done.stdout.partition("\n")
    assert [message for message in eval(said) if "takes no marker" not in message] == []
    assert total(samples(page), "requests_total") == 3


FULL = """
counter = Counter("requests_total", "Requests.", ["path"])
held = counter.labels("held")
for i in range(8_000):
    counter.labels(f"/{i:0200}").inc()
    held.inc()
other = Histogram("times_seconds", "Times.", ["path"])
for i in range(1_000):
    other.labels(f"/{i:0200}").observe(0.1)
    other.labels("x").time().__enter__().__exit__(None, None, None)
assert value("requests_total") == 16_000, value("requests_total")
assert value("requests_total", path="held") == 8_000
assert value("times_seconds_count") in (0, 2_000), value("times_seconds_count")
late = Counter("late_total", "Comes when it is full.")
late.inc()
Gauge("late_gauge", "Comes when it is full.", ["path"], multiprocess_mode="livesum").labels("/").set(1)
page()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_full_segment(kind, shm, tmp_path):
    """Held series go on, label sets without room share one, and nothing raises."""
    run(kind, FULL, shm, tmp_path, SHMETRICS_MAX_SIZE="1M")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("kind", KINDS)
def test_another_user(kind, shm):
    """The segment is root's. With native metrics, another user's process counts in its own memory. In
    a directory, it counts in a side segment, and pages add both.
    """
    with tempfile.TemporaryDirectory(prefix="python-test.", dir="/tmp") as directory:
        Path(directory).chmod(0o755)  # unlike pytest's
        another_user(kind, shm, Path(directory))


def another_user(kind, shm, tmp_path):
    run(kind, "Counter('requests_total', 'Requests.', ['path']).labels('/').inc()", shm, tmp_path)
    (segment,) = shm.iterdir()
    before = segment.read_bytes()
    shm.chmod(0o1777)
    if kind != "native":
        (tmp_path / "multiproc").chmod(0o1777)  # into it the user may write, and not to the segment
    become = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    done = support.python(program(kind, become + COUNT), environment(kind, shm, tmp_path))
    if kind == "native":
        check_goes_on(done)
    else:
        assert done.stdout.startswith("[]\n"), done.stdout
        assert total(samples(done.stdout.partition("\n")[2]), "requests_total", path="/") == 1 + 3
    assert segment.read_bytes() == before


@needs_mounts
def test_a_server_without_shared_memory_serves(tmp_path):
    """gunicorn's workers count for themselves, and answer."""
    command = in_mount_namespace(MOUNTS["read-only"], *gunicorn("flask_app"))
    with Server(command, "hook", Path("/dev/shm"), tmp_path) as server:
        for _ in range(8):
            assert get(server.port, "/items/1")[:2] == (200, "item 1\n")
        status, page, _ = get(server.port, "/metrics")
        assert status == 200 and page.count("shmetrics") <= page.count("shmetrics_")
        assert {file.name for file in server.files.iterdir()} <= {MARKER}
