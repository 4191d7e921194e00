"""Breaks what the alerts of packaging/prometheus are about, before a real Prometheus, until each alert has fired.

It fills a segment, kills an application, damages a copy of a segment, floods an exporter, and so on. The times of the rules
are shortened. Before that, while everything is healthy, no alert fires. Afterwards each query of the library's dashboard has
data, and each metric of the library that Prometheus has seen has its section in the runbook.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import grafana
import shm
from daemons import NewerPrometheus, Prometheus, Pushgateway, request
from harness import main, needs
from processes import child, die_with_the_parent
from serve import CERTIFICATES, Exporter, scrape_settings
from targets import NegotiatingTarget, Target

sys.path.insert(0, str(shm.ROOT / "scripts"))

import runbook  # noqa: E402 - it holds the runbook and the rules together

WATCHDOG_SECONDS = 300
# Only for this test: an alert after minutes is an alert after seconds.
SHORTER = {
    "[15m]": "[60s]", "offset 15m": "offset 60s", "[1h]": "[60s]", "_total[5m]": "_total[60s]", '{code=~"5.."}[5m]': '{code=~"5.."}[60s]',
    "[5m]": "[5s]", "> 3600": "> 3", "> 900": "> 3", "> 5 and": "> 0.3 and",
}  # fmt: skip
# A loaded machine may be as slow as the shortened times, so these may fire while all is well. Their
# times are tested by promtool.
OF_TIMES = {
    "ShmetricsPageDown", "ShmetricsScrapeSlow", "ShmetricsApplicationIdle", "ShmetricsPushStopped", "ShmetricsExporterSheds",
    "ShmetricsExporterErrors", "ShmetricsPushFails",
}  # fmt: skip
# Other segments may have the same alert, such as copies, which no process has open.
OF_SEGMENTS = {
    "ShmetricsApplicationDown": "dying", "ShmetricsApplicationIdle": "idle", "ShmetricsSegmentMissing": "gone",
    "ShmetricsSegmentNearlyFull": "shop", "ShmetricsOverflow": "shop", "ShmetricsSegmentLeaks": "leaking",
}  # fmt: skip
SIZE = 512 << 10
LONG = "x" * 2000  # so that few series fill a segment
# Offsets and numbers from docs/format.md.
FAMILY_HEAD, ARENA_REACHABLE, KIND, GRANULE = 280, 328, 50, 16
NOBODY = 65534


def shortened(rules: str) -> str:
    for old, new in SHORTER.items():
        assert old in rules, f"no rule has {old}"
        rules = rules.replace(old, new)
    return re.sub(r"^( +for:) \d+m$", r"\1 0s", rules, flags=re.M)


class Watching:
    """Mixed into a Prometheus: it also has rules, and says which alerts fire."""

    rules = ""

    def arguments(self) -> list[str]:
        arguments = super().arguments()
        config = self.directory / "prometheus.yml"
        settings = json.loads(config.read_text())
        settings["global"]["evaluation_interval"] = "1s"
        config.write_text(json.dumps(settings | {"rule_files": ["rules.yml"]}))
        (self.directory / "rules.yml").write_text(self.rules)
        return arguments

    def firing(self) -> dict[str, dict[str, str]]:
        """The annotations of each alert that fires, for the segment that the scene has broken for it.

        The pushed page is old, so only alerts about pushes are about it.
        """
        status, answer = request(self.url("/api/v1/alerts"))
        assert status == 200, answer
        found = {}
        for alert in json.loads(answer)["data"]["alerts"]:
            labels, name = alert["labels"], alert["labels"]["alertname"]
            is_meant = labels.get("segment") == OF_SEGMENTS.get(name, labels.get("segment"))
            is_pushed = labels.get("job") in ("pushed", "node")
            if alert["state"] == "firing" and is_meant and is_pushed == name.startswith("ShmetricsPush"):
                found[name] = alert["annotations"]
        return found

    def wait_for_answers(self, jobs: list[str]) -> None:
        """Until each target has answered a scrape."""
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while (up := {series["metric"]["job"] for series in self.query("max_over_time(up[10m]) == 1")}) != set(jobs):
            assert time.monotonic() < deadline, f"no page of {set(jobs) - up}"
            time.sleep(0.1)

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while not self.query(expression):
            assert time.monotonic() < deadline, f"nothing has {expression}"
            time.sleep(0.1)

    def wait_for_rules(self) -> None:
        """Until all rules have been evaluated after this moment."""
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 1))
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while True:
            groups = json.loads(request(self.url("/api/v1/rules"))[1])["data"]["groups"]
            failures = [rule["lastError"] for group in groups for rule in group["rules"] if rule["health"] == "err"]
            assert not failures, failures
            if groups and all(group["lastEvaluation"] > since for group in groups):
                return
            assert time.monotonic() < deadline, "the rules are not evaluated"
            time.sleep(0.1)


class WatchingPrometheus(Watching, Prometheus):
    pass


class NewerWatchingPrometheus(Watching, NewerPrometheus):
    pass


class App(NegotiatingTarget):
    """A page that a process of the application renders, with a collector; it may be slow."""

    delay = 0.0
    failing = False

    def __init__(self, segment: shm.Segment) -> None:
        super().__init__(segment)
        self._collect = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)(lambda _page, _data: not self.failing)
        shm.check(shm.lib.shmetrics_segment_add_collector(segment.pointer, self._collect, None, None))

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        time.sleep(self.delay)
        return super().answer(path, accept)


class Odd(Target):
    """What cannot be made here: `/proc` that hangs (a unit test of the command has it), a page of prometheus_client without the package."""

    broken = False

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        page = f"shmetrics_serve_processes_late {int(self.broken)}\n"
        page += 'shmetrics_segment_not_read{segment="shop"} 1\n' if self.broken else ""
        return "text/plain; version=0.0.4", page.encode()


class Textfiles(Target):
    """What node_exporter shows of the file of `shmetrics push`."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def answer(self, path: str, accept: str) -> tuple[str, bytes]:
        return "text/plain; version=0.0.4", self._file.read_bytes()


class Serve:
    """`shmetrics serve` on a socket that this program holds, so that it can be started again on the same port."""

    def __init__(self, *arguments: str, directory: Path) -> None:
        self._arguments, self._directory = arguments, directory
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def __enter__(self) -> Serve:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._socket.close()

    def start(self) -> None:
        script = f'exec 3<&{self._socket.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
        command = [str(shm.RELEASE / "shmetrics"), "serve", *self._arguments, "--listen", "systemd"]
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"SHMETRICS_DIR": str(self._directory)}, pass_fds=[self._socket.fileno()], preexec_fn=die_with_the_parent,
        )  # fmt: skip

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Scene:
    """Segments, exporters and an application, all healthy until `break_everything`."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.directory, self.apart = (Path(tempfile.mkdtemp(dir=os.environ.get("SHMETRICS_DIR", "/dev/shm"))) for _ in "ab")
        for directory in (self.directory, self.apart):
            stack.callback(shutil.rmtree, directory)
        self.dying = os.fork()  # before any thread is started
        if self.dying == 0:
            child(self._count)
        stack.callback(self._bury)
        self.segments = {name: self._open(self.directory, name) for name in ("shop", "other", "gone", "idle")}
        self.app_segment = self._open(self.apart, "app")
        self.orders = self.segments["shop"].register("counter", "orders", "Orders.", ("id",))
        self.sizes = self.segments["shop"].register("histogram", "sizes", "Sizes.", factor=1.1).with_()
        self._ticking = {name: segment.register("counter", "ticks", "Ticks.").with_() for name, segment in self.segments.items()}
        self._ticking["app"] = self.app_segment.register("counter", "ticks", "Ticks.").with_()
        self._crowd: list[socket.socket] = []
        stack.callback(lambda: self._leave(self._crowd))
        self._over = threading.Event()
        ticker = threading.Thread(target=self._tick)
        ticker.start()
        stack.callback(ticker.join)
        stack.callback(self._over.set)

        serve = lambda *arguments: stack.enter_context(Serve(*arguments, directory=self.directory))  # noqa: E731
        self.exporter, self.restarting, self.down = serve("--all", "--process-metrics"), serve("other"), serve("other")
        self.web = stack.enter_context(Exporter(str(self.directory / "shmetrics-other")))
        self.app, self.slow = (stack.enter_context(App(self.app_segment)) for _ in "ab")
        self.odd = stack.enter_context(Odd())
        self.jobs = {
            "exporter": self.exporter.port, "restarting": self.restarting.port, "down": self.down.port, "web": self.web.port,
            "app": self.app.port, "slow": self.slow.port, "odd": self.odd.port,
        }  # fmt: skip
        self.settings = {"web": scrape_settings("s3cret")}
        self.gateway = None
        if shutil.which(Pushgateway.program):
            self.gateway = stack.enter_context(Pushgateway())
            self.jobs["gateway"], self.settings["gateway"] = self.gateway.port, {"honor_labels": True}
            self._push(stack)

    def _push(self, stack: contextlib.ExitStack) -> None:
        """A loop of pushes, which has reached the gateway."""
        file = self.directory / "push.prom"
        command = [str(shm.RELEASE / "shmetrics"), "push", str(self.directory / "shmetrics-shop"), "--gateway", self.gateway.url("")]
        self.pushing = subprocess.Popen(
            [*command, "--job", "pushed", "--interval", "0.3", "--textfile", str(file)],
            stderr=subprocess.DEVNULL, preexec_fn=die_with_the_parent,
        )  # fmt: skip
        stack.callback(self._stop_pushing)
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while not (file.exists() and re.search(r'result="success"} [1-9]', file.read_text())):
            assert time.monotonic() < deadline, "no push arrives"
            time.sleep(0.1)
        self.jobs["node"] = stack.enter_context(Textfiles(file)).port

    def _stop_pushing(self) -> None:
        self.pushing.kill()
        self.pushing.wait()

    def _open(self, directory: Path, name: str) -> shm.Segment:
        return shm.Segment(str(directory / f"shmetrics-{name}"), max_size=SIZE)

    def _count(self) -> None:
        ticks = self._open(self.directory, "dying").register("counter", "ticks", "Ticks.").with_()
        while True:
            ticks.update("inc")
            time.sleep(0.1)

    def _bury(self) -> None:
        if self.dying:
            os.kill(self.dying, signal.SIGKILL)
            os.waitpid(self.dying, 0)
            self.dying = 0

    def _tick(self) -> None:
        while not self._over.wait(0.1):
            for series in list(self._ticking.values()):
                series.update("inc")

    def break_everything(self) -> None:
        self._bury()
        del self._ticking["idle"]
        self._fill_shop()
        self._copy_shop("damaged", self._spoil_family)
        self._copy_shop("leaking", lambda copy: struct.pack_into("<Q", copy, ARENA_REACHABLE, 0))
        if os.geteuid() == 0:
            os.chown(self._copy_shop("foreign", lambda copy: None), NOBODY, NOBODY)
        self.segments["other"].register("gauge", "orders", "Something else.", ("id",)).with_("a").update("set", 1)
        (self.directory / "shmetrics-gone").unlink()
        (self.apart / "shmetrics-app").unlink()
        self.down.stop()
        self.app.failing = self.odd.broken = True
        self.slow.delay = 0.5
        (self.web.directory / "web.yml").write_text("tls_server_config: {cert_fil: nothing}\n")
        if self.gateway:
            self._stop_pushing()
            twice = b"twice 1\ntwice 2\n"
            status, answer = request(self.gateway.url("/metrics/job/pushed"), twice, "PUT")
            assert status == 400, answer

    def _fill_shop(self) -> None:
        shop = self.segments["shop"]
        kept = self.orders.with_("kept")
        for i in range(400):
            self.orders.with_(f"{i}{LONG}").update("inc")
        for i in range(300):
            self.sizes.update("observe", 10.0 ** (i - 150))
        kept.update("add", -1.0)
        with contextlib.suppress(shm.Error):
            shop.register("gauge", "orders", "Something else.", ("id",))
        self.orders.remove("kept")
        self.removed = kept

    def _copy_shop(self, name: str, change) -> Path:
        copy = bytearray((self.directory / "shmetrics-shop").read_bytes())
        change(copy)
        path = self.directory / f"shmetrics-{name}"
        (self.apart / "copy").write_bytes(copy)
        shutil.move(self.apart / "copy", path)
        return path

    @staticmethod
    def _spoil_family(copy: bytearray) -> None:
        (link,) = struct.unpack_from("<I", copy, FAMILY_HEAD)
        copy[link * GRANULE + KIND] = 250

    def press(self, awaited: set[str]) -> None:
        """What must go on until its alert fires."""
        self.removed.update("inc")
        if "ShmetricsExporterErrors" in awaited:
            with contextlib.suppress(OSError):  # no page is ready in no time
                request(f"http://127.0.0.1:{self.exporter.port}/metrics", X_Prometheus_Scrape_Timeout_Seconds="0.01")
        for _ in range(3):
            if "ShmetricsLoginFailures" in awaited:
                self._log_in_wrongly()
            if "ShmetricsTlsErrors" in awaited:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.web.port)) as plain:
                    plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        if "ShmetricsExporterSheds" in awaited:
            # Held until the next crowd is there: the exporter keeps 64 connections.
            before, self._crowd = self._crowd, []
            with contextlib.suppress(OSError):
                self._crowd += [socket.create_connection(("127.0.0.1", self.web.port)) for _ in range(70)]
            self._leave(before)

    @staticmethod
    def _leave(crowd: list[socket.socket]) -> None:
        for one in crowd:
            one.close()

    def _log_in_wrongly(self) -> None:
        context = ssl.create_default_context(cafile=CERTIFICATES / "ca.crt")
        context.load_cert_chain(CERTIFICATES / "client.crt", CERTIFICATES / "client.key")
        client = http.client.HTTPSConnection("127.0.0.1", self.web.port, context=context, timeout=WATCHDOG_SECONDS)
        guess = base64.b64encode(b"ann:guess").decode()
        with contextlib.closing(client), contextlib.suppress(OSError, http.client.HTTPException):
            client.request("GET", "/metrics", headers={"Authorization": f"Basic {guess}"})
            client.getresponse().read()

    def restart(self, started: float) -> None:
        """Starts the exporter again, if Prometheus has seen that it has started."""
        if started > self.restarted_at:
            self.restarted_at = started
            self.restarting.stop()
            self.restarting.start()

    restarted_at = 0.0


class Rehearsed:
    server: type[Watching]

    def test_each_alert_fires(self) -> None:
        rules = runbook.text(runbook.RULES)
        expected = set(runbook.alerts(rules))
        with contextlib.ExitStack() as stack:
            scene = Scene(stack)
            if os.geteuid() != 0:
                print("skipped: ShmetricsSegmentsIgnored in the rehearsal (only root makes files of other users)")
                expected.remove("ShmetricsSegmentsIgnored")
            if not scene.gateway:
                print("skipped: alerts about pushes in the rehearsal (prometheus-pushgateway is not installed)")
                expected -= {"ShmetricsPushFailed", "ShmetricsPushStopped", "ShmetricsPushFails"}
            prometheus = self.server(scene.jobs, **scene.settings)
            prometheus.rules = shortened(rules)
            stack.enter_context(prometheus)

            prometheus.wait_for_answers(list(scene.jobs))
            prometheus.wait_for('shmetrics_segment_in_use{segment="dying"} == 1')
            prometheus.wait_for_rules()
            self.assertEqual(prometheus.firing().keys() - OF_TIMES, set(), "while everything is healthy")

            scene.break_everything()
            fired: dict[str, dict[str, str]] = {}
            deadline = time.monotonic() + WATCHDOG_SECONDS
            while expected - fired.keys() and time.monotonic() < deadline:
                scene.press(expected - fired.keys())
                scene.restart(max(prometheus.values('shmetrics_serve_process_start_time_seconds{job="restarting"}'), default=0))
                fired |= prometheus.firing()
                time.sleep(0.1)
            self.assertEqual(expected - fired.keys(), set(), "these alerts did not fire")
            for name, annotations in fired.items():
                self.assertRegex(annotations["runbook_url"], r"^docs/runbook\.md#[a-z_-]+$", name)
                self.assertNotRegex(" ".join(annotations.values()), r"<error|<no value>|\{\{|%!", name)

            self.assertEqual(grafana.without_data("shmetrics", prometheus.values), [])
            sections = runbook.sections(runbook.text(runbook.RUNBOOK))
            seen = {series["metric"]["__name__"] for series in prometheus.query('count by (__name__) ({__name__=~"shmetrics_.+"})')}
            self.assertGreater(len(seen), 30)
            self.assertEqual(seen - sections.keys(), set(), "metrics without a section in the runbook")


@needs(Prometheus.program)
class RehearsedBeforePrometheus(Rehearsed, unittest.TestCase):
    server = WatchingPrometheus


if os.environ.get("SHMETRICS_LONG"):

    @needs(NewerPrometheus.program)
    class RehearsedBeforeNewerPrometheus(Rehearsed, unittest.TestCase):
        server = NewerWatchingPrometheus


if __name__ == "__main__":
    main()
