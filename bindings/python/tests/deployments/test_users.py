"""Processes of several users count and read: the page is whole, or the scrape fails."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from places import NOBODY, Stays, as_root, command, counts
from support import BIN, clean_environment, python, run

OTHER = 1


@pytest.fixture
def directory():
    """Unlike pytest's, other users may look at it."""
    with tempfile.TemporaryDirectory(prefix="python-test.") as base:
        os.chmod(base, 0o755)
        path = Path(base) / "metrics"
        path.mkdir()
        yield path


@pytest.fixture
def open_shm(shm):
    shm.chmod(0o1777)
    return shm


@as_root
@pytest.mark.parametrize("mode, given", [(0o755, True), (0o777, False), (0o1777, False), (0o770, True)])
def test_root_first_costs_nothing(mode, given, directory, open_shm):
    """As `manage.py migrate` in an entry point, before the workers of another user."""
    os.chmod(directory, mode)
    if given:
        os.chown(directory, NOBODY, NOBODY)
    assert counts(directory, open_shm, 1) == "1.0"
    assert counts(directory, open_shm, 2, user=NOBODY) == "3.0"
    assert counts(directory, open_shm, 4) == "7.0"
    assert counts(directory, open_shm, 0) == "7.0"
    assert counts(directory, open_shm, 0, user=NOBODY) == "7.0"


@as_root
@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_users_in_any_order(mode, directory, open_shm):
    os.chmod(directory, mode)
    users = (NOBODY, OTHER, 0)
    assert [counts(directory, open_shm, 1, user=user) for user in users * 2] == [f"{n}.0" for n in range(1, 7)]
    assert [counts(directory, open_shm, 0, user=user) for user in users] == ["6.0"] * 3


@as_root
def test_members_of_a_group(directory, open_shm):
    os.chmod(directory, 0o2770)
    os.chown(directory, OTHER, NOBODY)  # the program's group is the user's number
    assert counts(directory, open_shm, 1, user=NOBODY) == "1.0"
    assert counts(directory, open_shm, 2) == "3.0"
    (segment,) = open_shm.iterdir()
    assert (segment.stat().st_uid, segment.stat().st_gid, segment.stat().st_mode & 0o777) == (NOBODY, NOBODY, 0o660)


@as_root
def test_a_root_master_and_a_sidecar_read_what_workers_count(directory, open_shm):
    os.chown(directory, NOBODY, NOBODY)
    with Stays(directory, open_shm, 5, user=NOBODY):
        for user in (0, OTHER):
            assert counts(directory, open_shm, 0, user=user) == "5.0"
        (segment,) = open_shm.iterdir()
        assert segment.stat().st_uid == NOBODY and segment.stat().st_mode & 0o777 == 0o644


@as_root
def test_who_may_not_read_gets_an_error(directory, open_shm):
    """With the name of the segment and the remedy, and a warning."""
    os.chown(directory, NOBODY, NOBODY)
    assert counts(directory, open_shm, 5, user=NOBODY, SHMETRICS_MODE="600") == "5.0"
    (segment,) = open_shm.iterdir()
    error, *warned = counts(directory, open_shm, 0, user=OTHER).splitlines()
    assert error.startswith("SegmentUnreadable") and str(directory) in error
    assert "user 1 may not read it" in error and "SHMETRICS_MODE=0640" in error
    assert len(warned) == 1 and "SHMETRICS_MODE=0640" in warned[0]
    assert counts(directory, open_shm, 0) == "5.0", "root may"
    os.chmod(directory, 0o700)
    assert counts(directory, open_shm, 0) == "5.0"


def test_a_container_with_other_shared_memory_gets_an_error(directory, shm, tmp_path):
    assert counts(directory, shm, 5) == "5.0"
    other = tmp_path / "shm"
    other.mkdir()
    out = counts(directory, other, 0)
    assert out.startswith("SegmentUnreadable") and "share /dev/shm" in out and "warned" in out


def test_a_scrape_of_it_fails(directory, shm, tmp_path):
    """Over HTTP, by prometheus_client's own server and application."""
    assert counts(directory, shm, 5) == "5.0"
    code = """
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from wsgiref.simple_server import make_server, WSGIRequestHandler
import threading, urllib.error, urllib.request
class Handler(WSGIRequestHandler):
    log_message = log_error = lambda *_: None
    def get_stderr(self):
        import io
        return io.StringIO()
registry = CollectorRegistry()
MultiProcessCollector(registry)
server = make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=Handler)
threading.Thread(target=server.handle_request).start()
try:
    print(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics").status)
except urllib.error.HTTPError as error:
    print(error.code)
"""
    (tmp_path / "shm").mkdir()
    done = python(code, clean_environment(tmp_path / "shm", PROMETHEUS_MULTIPROC_DIR=str(directory)))
    assert done.stdout == "500\n", done


def test_nothing_counted_yet_is_an_empty_page(directory, shm):
    assert counts(directory, shm, 0) == "nothing"


def test_wrong_settings_and_no_shared_memory(directory, shm):
    """Memory of the process has no mode, so a wrong one does not keep from it."""
    out, *warned = counts(directory, shm, 1, SHMETRICS_MODE="abc", SHMETRICS_DIR="/nowhere/at/all").splitlines()
    assert out == "1.0" and len(warned) == 2 and "SHMETRICS_MODE=abc" in warned[0] and "this process and its forked children only" in warned[1]


@as_root
@pytest.mark.parametrize("rights", ["-chown", "-chown,-dac_override,-fowner"])
def test_root_without_its_rights(rights, directory, open_shm):
    """As in a container that has dropped them."""
    os.chmod(directory, 0o777)
    os.chown(directory, NOBODY, NOBODY)
    before = f"set -- setpriv --bounding-set={rights} --inh-caps={rights} \"$@\""
    assert counts(directory, open_shm, 1, before=before).splitlines()[0] == "1.0"
    assert counts(directory, open_shm, 2, user=NOBODY) == "3.0"
    assert counts(directory, open_shm, 0, before=before) == "3.0"


@as_root
def test_root_starts_anew_what_another_user_has_counted(directory, open_shm):
    program = [str(BIN / "shmetrics-run"), *command(1, NOBODY)]
    environment = clean_environment(open_shm, TMPDIR=str(directory))
    for _ in range(2):
        done = run(program, environment, directory)
        assert (done.stdout, done.stderr) == ("1.0\n", "")
    (segment,) = open_shm.iterdir()
    assert segment.stat().st_uid == NOBODY


@as_root
def test_native_pages_tell_that_they_are_not_whole(directory, open_shm):
    assert counts(directory, open_shm, 1) == "1.0"
    code = "import warnings, shmetrics\nwith warnings.catch_warnings(record=True) as said:\n warnings.simplefilter('always'); shmetrics.Counter('n', 'help').inc()\n"
    out = counts(directory, open_shm, 1, user=NOBODY, code=code + "print(*[w.message for w in said])")
    assert "show the former alone" in out and str(directory) in out


@as_root
def test_counts_of_a_user_who_may_not_write_fail_the_page(directory, open_shm):
    """A page without them would be wrong. It is whole when the user may write, or is trusted."""
    os.chmod(directory, 0o755)
    assert counts(directory, open_shm, 1) == "1.0"
    with Stays(directory, open_shm, 5, user=NOBODY) as worker:
        assert worker.first == "6.0"
        out = counts(directory, open_shm, 0)
        assert out.startswith("SegmentUnreadable") and f"processes of user {NOBODY} count" in out and "SHMETRICS_TRUST" in out
        for trusted in ("nobody", str(NOBODY)):
            assert counts(directory, open_shm, 0, SHMETRICS_TRUST=trusted) == "6.0"
        os.chown(directory, NOBODY, NOBODY)
        assert counts(directory, open_shm, 0) == "6.0"


@as_root
def test_counts_of_a_user_who_may_not_see_the_marker_fail_the_page(directory, open_shm):
    os.chmod(directory, 0o700)
    assert counts(directory, open_shm, 1) == "1.0"
    with Stays(directory, open_shm, 5, user=NOBODY) as worker:
        assert worker.first.startswith("SegmentUnreadable"), worker.first
        out = counts(directory, open_shm, 0)
        assert out.startswith("SegmentUnreadable") and f"processes of user {NOBODY} count" in out and "SHMETRICS_TRUST" in out
        assert counts(directory, open_shm, 0, SHMETRICS_TRUST="nobody") == "6.0"
    assert counts(directory, open_shm, 0) == "1.0"


@as_root
def test_who_may_not_write_is_warned(directory, open_shm):
    os.chmod(directory, 0o755)
    assert counts(directory, open_shm, 1) == "1.0"
    page, warned = counts(directory, open_shm, 2, user=NOBODY).splitlines()
    assert page == "3.0" and "pages of the directory" in warned and "SHMETRICS_TRUST" in warned
    assert counts(directory, open_shm, 2, user=NOBODY, SHMETRICS_TRUST="nobody") == "5.0"


@as_root
def test_a_segment_that_somebody_plants_is_on_no_page(directory, open_shm):
    os.chmod(directory, 0o755)
    assert counts(directory, open_shm, 1) == "1.0"
    (segment,) = open_shm.iterdir()
    plant = f"from shmetrics import Segment; Segment({segment.name[len('shmetrics-'):] + '.u65534'!r}, mode=0o644)"
    out = counts(directory, open_shm, 1, user=NOBODY, code=plant)
    assert out == "" and len(list(open_shm.iterdir())) == 2
    page, warned = counts(directory, open_shm, 0).splitlines()
    assert page == "1.0" and "may not write into the directory" in warned


@pytest.mark.parametrize(
    "setting",
    [
        "MAX_SIZE=64MB",
        "MAX_SIZE=1",
        "MAX_SIZE=",
        "MODE=abc",
        "MODE=0400",
        "MODE=4600",
        "GROUP=no-such-group",
        "OWNER=no-such-user",
        "OWNER=4294967295",
        "TRUST=no-such-user,,",
        "LE=long",
        "SEGMENT=../../x",
        "SEGMENT=a b",
        "NATIVE_FACTOR=x",
    ],
)
def test_wrong_settings_are_a_warning(setting, directory, shm):
    name, _, value = setting.partition("=")
    expected = 0 if name == "TRUST" or not value else 1
    out, *warned = counts(directory, shm, 1, **{"SHMETRICS_" + name: value}).splitlines()
    assert out == "1.0" and all(f"SHMETRICS_{name}={value}" in line or "maximum size of 1 bytes" in line for line in warned), warned
    # SHMETRICS_TRUST is read only if a segment is another user's.
    assert len(warned) == expected, warned
    assert counts(directory, shm, 1) == "2.0", "the same segment as without it"
    native = python(
        "import warnings; warnings.simplefilter('ignore')\nimport shmetrics\nshmetrics.Counter('n', 'help').inc()\n"
        "shmetrics.Segment('x'); shmetrics.configure()\nprint(shmetrics.REGISTRY.get_sample_value('n_total'))",
        clean_environment(shm, **{"SHMETRICS_" + name: value}),
    )
    assert native.stdout == "1.0\n", native.stderr
