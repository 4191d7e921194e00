"""What a user gets: the wheel that run.sh has built and installed, the sdist, and ways to start
Python.
"""

from __future__ import annotations

import base64
import email
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipapp
import zipfile
from pathlib import Path

import pytest
from support import BIN, ROOT, clean_environment, free_port, get, python, run, started, wait_until

PYTHON_DIRECTORY = ROOT / "bindings" / "python"


@pytest.fixture(scope="module")
def wheel():
    (path,) = (ROOT / "target" / "wheels").glob("shmetrics-*-cp310-abi3-*.whl")
    with zipfile.ZipFile(path) as archive:
        yield path, archive


def metadata(archive) -> email.message.Message:
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(archive.read(name))


def test_files_of_the_wheel(wheel):
    _, archive = wheel
    names = archive.namelist()
    for expected in ("_shmetrics_hook.py", "_shmetrics_pytest.py", "shmetrics.pth", "shmetrics.start", "shmetrics/py.typed"):
        assert expected in names
    assert not [n for n in names if "test" in n.replace("_shmetrics_pytest", "") or n.endswith((".c", ".rs", ".sh"))]
    (record,) = (n for n in names if n.endswith("/RECORD"))
    recorded = {}
    for line in archive.read(record).decode().splitlines():
        name, digest, _ = line.rsplit(",", 2)
        recorded[name] = digest
    assert set(recorded) == set(names)
    for name in names:
        if name != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
            assert recorded[name] == "sha256=" + digest, name


def test_licences_are_inside(wheel):
    _, archive = wheel
    found = {Path(n).name: archive.read(n).decode() for n in archive.namelist() if ".dist-info/licenses/" in n}
    told = metadata(archive)
    assert told["License-Expression"] == "MIT OR Apache-2.0"
    assert set(told.get_all("License-File")) == set(found) == {"LICENSE-MIT", "LICENSE-APACHE", "LICENSES-THIRD-PARTY.txt"}
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        assert found[name] == (ROOT / name).read_text() == (PYTHON_DIRECTORY / name).read_text()
    # Of what is linked into the extension, and into the command.
    for crate in ("pyo3 ", "libc ", "itoa ", "tokio ", "ring ", "rustls "):
        assert re.search("^%s" % crate, found["LICENSES-THIRD-PARTY.txt"], re.M), crate
    assert "Permission is hereby granted" in found["LICENSES-THIRD-PARTY.txt"]
    assert str(ROOT) not in found["LICENSES-THIRD-PARTY.txt"]


def test_metadata(wheel):
    _, archive = wheel
    told = metadata(archive)
    assert told["Requires-Python"] == ">=3.9"
    assert told.get_all("Requires-Dist") is None
    versions = [c.rpartition(" ")[2] for c in told.get_all("Classifier") if re.search(r":: 3\.\d+$", c)]
    assert versions[0] == "3.9" and len(versions) >= 5
    assert not re.search(r"https?://(localhost|[\w.]*\b(local|internal|lan)\b)", str(told))


LIMIT = re.compile(r"(?:manylinux_(\d+)_(\d+)|manylinux2014)_")


def test_the_wheel_keeps_what_its_tag_promises(wheel, tmp_path):
    """No binary asks for more than the glibc of the tag has; and each symbol is of a version, or
    Python's.
    """
    path, archive = wheel
    if not shutil.which("readelf"):
        pytest.skip("no readelf")
    tag = LIMIT.search(path.name)
    if tag is None:
        pytest.skip("the wheel is of no manylinux tag")
    most = (int(tag[1]), int(tag[2])) if tag[1] else (2, 17)
    binaries = [n for n in archive.namelist() if n.endswith(".so") or n == "shmetrics/bin/shmetrics"]
    assert len(binaries) == 2
    for name in binaries:
        file = Path(archive.extract(name, tmp_path))
        shown = subprocess.run(["readelf", "--wide", "--dyn-syms", "--dynamic", file], check=True, capture_output=True, text=True).stdout
        versions = {tuple(map(int, v.split("."))) for v in re.findall(r"@GLIBC_([\d.]+)", shown)}
        assert versions and max(versions) <= most, name
        undefined = [line.split() for line in shown.splitlines() if " UND " in line]
        wild = [u[7] for u in undefined if len(u) > 7 and "@" not in u[7] and u[4] != "WEAK" and not u[7].startswith(("Py", "_Py"))]
        needed = set(re.findall(r"NEEDED.*\[(.*)\]", shown))
        allowed = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libutil.so.1", "libgcc_s.so.1"}
        assert {n for n in needed if not n.startswith("ld-linux")} <= allowed, name
        # The unwinder's have kept their meaning in all versions of libgcc_s (see build.sh).
        assert [n for n in wild if not (n.startswith("_Unwind_") and "libgcc_s.so.1" in needed)] == [], name
        if name.endswith(".so"):
            assert "libgcc_s.so.1" in needed, "threads that end by pthread_exit() are unwound by another library than the extension's"
        assert str(ROOT).encode() not in file.read_bytes(), "a path of the machine that built it"


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return run([BIN / "shmetrics", *arguments], environment or None)


class TestCommand:
    def test_is_there(self, shm):
        environment = clean_environment(shm, SHMETRICS_SEGMENT="shop")
        assert python("from shmetrics import Counter\nCounter('c', 'Help.').inc()", environment).returncode == 0
        told = command("list", **environment)
        assert told.returncode == 0 and "shop" in told.stdout, told
        assert "\nc_total 1\n" in command("render", "shop", **environment).stdout
        module = [sys.executable, "-m", "shmetrics", "render", "shop"]
        assert "\nc_total 1\n" in run(module, environment).stdout
        assert command("rm", "nothing", **environment).returncode != 0

    def test_serves(self, shm, tmp_path):
        environment = clean_environment(shm, SHMETRICS_SEGMENT="shop")
        assert python("from shmetrics import Counter\nCounter('c', 'Help.').inc()", environment).returncode == 0
        port = free_port()
        serve = [BIN / "shmetrics", "serve", "--listen", "127.0.0.1:%d" % port, "shop"]
        with started(serve, environment, tmp_path / "log") as process:
            status, page, _ = wait_until(lambda: get(port, "/metrics"), "it does not serve")
            assert status == 200 and "c_total" in page
            # It is the command itself, no Python before it.
            assert os.readlink("/proc/%d/exe" % process.pid).endswith("shmetrics/bin/shmetrics")

    def test_knows_directories(self, shm, tmp_path):
        environment = clean_environment(shm, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
        assert python("from prometheus_client import Counter\nCounter('c', 'Help.').inc()", environment).returncode == 0
        name = command("name", str(tmp_path), **environment).stdout.strip()
        assert "shmetrics-" + name in os.listdir(shm)
        assert "c_total 1" in command("render", str(tmp_path), **environment).stdout
        assert "c_total 1" in command("render", **environment).stdout

    def test_says_where_it_is_missing(self, tmp_path):
        """As after `pip install` of the sdist."""
        import shmetrics

        shutil.copytree(Path(shmetrics.__file__).parent, tmp_path / "shmetrics", ignore=shutil.ignore_patterns("bin"))
        done = run([sys.executable, "-m", "shmetrics", "serve"], {**os.environ, "PYTHONPATH": str(tmp_path)}, tmp_path)
        assert done.returncode == 126
        assert done.stderr.startswith("shmetrics: this installation has no such command") and "cargo install" in done.stderr


BACKEND = """
import sys, sysconfig, types
maturin = types.ModuleType("maturin")
def build_wheel(*arguments):
    import os
    print(os.environ.get("MATURIN_PEP517_ARGS"))
    return "built"
maturin.build_wheel = build_wheel
sys.modules["maturin"] = maturin
sys.path.insert(0, %r)
import shmetrics_build
%s
shmetrics_build.build_wheel("")
"""


def backend(pretend: str, interpreter: str = sys.executable) -> subprocess.CompletedProcess:
    code = BACKEND % (str(PYTHON_DIRECTORY / "backend"), pretend)
    environment = {k: v for k, v in os.environ.items() if k != "MATURIN_PEP517_ARGS"}
    return run([interpreter, "-c", code], environment)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    out = tmp_path_factory.mktemp("sdist")
    maturin = [BIN / "maturin", "sdist", "--manifest-path", PYTHON_DIRECTORY / "Cargo.toml", "--out", out]
    subprocess.run(maturin, check=True, capture_output=True)
    (path,) = out.glob("*.tar.gz")
    return path


class TestSdist:
    def test_has_what_it_is_built_with(self, sdist):
        with tarfile.open(sdist) as archive:
            names = {n.partition("/")[2] for n in archive.getnames()}
            (project,) = (n for n in archive.getnames() if n.count("/") == 1 and n.endswith("/pyproject.toml"))
            text = archive.extractfile(project).read().decode()
        assert 'build-backend = "shmetrics_build"' in text
        for expected in ("backend/shmetrics_build.py", "LICENSE-MIT", "LICENSE-APACHE", "python/_shmetrics_pytest.py", "bindings/python/Cargo.lock"):
            assert expected in names, expected

    def test_an_older_python_is_refused(self, sdist):
        """Before anything is compiled."""
        older = next(iter(sorted(Path("~/.pyenv/versions").expanduser().glob("3.8.*/bin/python"))), shutil.which("python3.8"))
        if older is None:
            pytest.skip("no python3.8")
        pip = [older, "-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(sdist.parent / "to"), sdist]
        done = run(pip)
        assert done.returncode != 0
        assert "shmetrics cannot be built: CPython 3.9 or later is needed, and this is 3.8." in done.stdout + done.stderr, done

    def test_others_are_refused_with_a_reason(self):
        assert backend("").returncode == 0
        cases = {
            "sys.implementation.name = 'pypy'": "CPython is needed, and this is pypy",
            "sysconfig.get_config_var = lambda name: 1": "free-threaded builds of Python are not supported",
            "sysconfig.get_config_var = lambda name: None; sys.platform = 'win32'": "Linux is needed, and this is win32",
        }
        for pretend, reason in cases.items():
            done = backend(pretend)
            assert done.returncode == 1 and reason in done.stderr and "Traceback" not in done.stderr, (pretend, done)

    def test_each_version_has_its_interface(self):
        """The stable one from 3.10 on; on 3.9, which cannot load that, its own."""
        assert backend("").stdout == "None\n"
        assert backend("sys.version_info = (3, 9, 18)").stdout == "--no-default-features --features py39\n"


class TestStarts:
    """Ways to start Python, with the package installed in its environment."""

    COUNT = "from prometheus_client import Counter, values\nCounter('c', 'Help.').inc()\nprint(values.ValueClass.__name__)"

    def run(self, shm, tmp_path, *arguments: str, code: str = COUNT, **environment: str) -> str:
        variables = clean_environment(shm, PROMETHEUS_MULTIPROC_DIR=str(tmp_path), **environment)
        command = [sys.executable, *arguments, *(("-c", code) if code else ())]
        done = run(command, variables, tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @pytest.mark.parametrize("option", ["-I", "-E", "-s", "-P", "-O"])
    def test_isolated(self, option, shm, tmp_path):
        if option == "-P" and sys.version_info < (3, 11):
            pytest.skip("3.11 brought it")
        assert self.run(shm, tmp_path, option) == "ShmetricsValue"

    def test_without_site(self, shm, tmp_path):
        """`-S` reads no .pth file: the application says it."""
        path = "import sys; sys.path.append(%r)\n" % str(Path(pytest.__file__).parents[1])
        assert self.run(shm, tmp_path, "-S", code=path + self.COUNT) == "MmapedValue"
        code = path + "from shmetrics import _dropin; _dropin.install()\n" + self.COUNT
        assert self.run(shm, tmp_path, "-S", code=code) == "ShmetricsValue"

    def test_a_zipped_application(self, shm, tmp_path):
        """With prometheus_client in the archive, and this package in the environment."""
        import prometheus_client

        source = tmp_path / "source"
        shutil.copytree(Path(prometheus_client.__file__).parent, source / "prometheus_client", ignore=shutil.ignore_patterns("__pycache__"))
        (source / "__main__.py").write_text("import prometheus_client\nassert '.pyz' in prometheus_client.__file__\n" + self.COUNT)
        zipapp.create_archive(source, tmp_path / "app.pyz")
        assert self.run(shm, tmp_path, str(tmp_path / "app.pyz"), code="") == "ShmetricsValue"


PLUGIN = """
import os, sys

def test_nothing_is_loaded_unasked():
    assert "shmetrics" not in sys.modules

def test_fresh(shmetrics_registry):
    from shmetrics import Counter, Gauge, Histogram
    assert shmetrics_registry.get_sample_value("c_total") is None
    Counter("c", "Help.", registry=shmetrics_registry).inc()
    Gauge("g", "Help.", ["l"], registry=shmetrics_registry)
    Gauge("f", "Help.", registry=shmetrics_registry).set_function(lambda: 1 / 0)
    assert shmetrics_registry.get_sample_value("c_total") == 1

def test_fresh_again(shmetrics_registry, shmetrics_segment):
    from shmetrics import Counter, Gauge, _functions
    assert list(shmetrics_registry.collect()) == [] and shmetrics_segment.families() == []
    assert not _functions._functions
    c = Counter("c", "Other.", ["with", "labels"], registry=shmetrics_registry)
    c.labels("a", "b").inc(2)
    assert shmetrics_registry.get_sample_value("c_total", {"with": "a", "labels": "b"}) == 2

def test_in_children(shmetrics_registry):
    from shmetrics import Counter
    c = Counter("c", "Help.", registry=shmetrics_registry)
    if os.fork() == 0:
        c.inc()
        os._exit(0)
    os.wait()
    assert shmetrics_registry.get_sample_value("c_total") == 1

def test_the_application():
    import application
    assert application.C.get() == 1
    assert EXPECTED in os.environ["SHMETRICS_DIR"]
"""


@pytest.mark.parametrize("private", [False, True])
def test_the_plugin_of_pytest(private, shm, tmp_path):
    (tmp_path / "application.py").write_text("from shmetrics import Counter\nC = Counter('c', 'Help.')\nC.inc()\n")
    expected = "shmetrics-pytest." if private else shm.name
    (tmp_path / "test_it.py").write_text("EXPECTED = %r\n" % expected + PLUGIN)
    (tmp_path / "pytest.ini").write_text("[pytest]\nshmetrics_private = %s\n" % private)
    before = set(os.listdir("/dev/shm"))
    for _ in range(2 if private else 1):  # the application's counter begins anew
        pytest_of_users = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = run(pytest_of_users, clean_environment(shm, SHMETRICS_SEGMENT="app"), tmp_path)
        assert done.returncode == 0 and "warning" not in done.stdout, done.stdout + done.stderr
    assert os.listdir(shm) == ([] if private else ["shmetrics-app"])
    assert not {n for n in set(os.listdir("/dev/shm")) - before if n.startswith("shmetrics-pytest.")}


def test_the_command_is_executable(wheel):
    _, archive = wheel
    assert stat.S_IMODE(archive.getinfo("shmetrics/bin/shmetrics").external_attr >> 16) == 0o755
