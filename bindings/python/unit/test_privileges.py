"""Owner, group and mode of a new segment's file, and whose segments are used."""

import os
import subprocess
import sys

import pytest

from shmetrics import Segment

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def access(path):
    file = os.stat(path)
    return file.st_mode & 0o7777, file.st_uid, file.st_gid


def test_the_mode_of_a_new_segment(tmp_path):
    Segment("a", mode=0o640)
    assert access(Segment("a").path)[0] == 0o640
    with pytest.raises(ValueError, match="setuid, setgid or sticky"):
        Segment("b", mode=0o4600)


@as_root
def test_owner_and_group_by_name_and_by_number():
    assert access(Segment("c", mode=0o660, owner="nobody", group=7).path) == (0o660, 65534, 7)
    assert access(Segment("d", owner=1, group="root").path) == (0o600, 1, 0)
    with pytest.raises(ValueError, match="no-such-group"):
        Segment("e", group="no-such-group")
    with pytest.raises(TypeError):
        Segment("e", group=1.5)


@as_root
def test_the_environment_says_what_no_option_does():
    code = "import os, shmetrics; f = os.stat(shmetrics.Segment('f').path); print(oct(f.st_mode), f.st_gid)"
    environment = {**os.environ, "SHMETRICS_MODE": "0640", "SHMETRICS_GROUP": "7"}
    assert subprocess.check_output([sys.executable, "-c", code], env=environment) == b"0o100640 7\n"


@as_root
def test_segments_of_trusted_users_alone():
    program = "import os, shmetrics; os.setuid(1); shmetrics.Segment('g')"
    os.chmod(os.environ["SHMETRICS_DIR"], 0o777)
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(PermissionError, match="SHMETRICS_TRUST=1"):
        Segment("g")
    with pytest.raises(PermissionError, match="belongs to user 1"):
        Segment("g", trust=[2, "nobody"])
    assert Segment("g", trust=["nobody", 1]).path == Segment("g", owner=1).path
