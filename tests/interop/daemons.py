"""Our exporter, and real Prometheus software with directories of its own, on loopback ports for as long as a `with` lasts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import decoders
import metric_family
from model import Sample
from oracles import OWN, parse, parsed_samples
from normal import Normal
from processes import die_with_the_parent
from shm import RELEASE, ROOT

WATCHDOG_SECONDS = 60
START_ATTEMPTS = 3


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch(url: str, body: bytes | None = None, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Headers have underscores for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, body, named, method=method), timeout=WATCHDOG_SECONDS
        ) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def request(url: str, body: bytes | None = None, method: str = "GET", **headers: str) -> tuple[int, str]:
    status, answer = fetch(url, body, method, **headers)
    return status, answer.decode(errors="replace")


# Where setup.sh puts the newest versions that Debian has, beside those of the installed release.
NEWER = Path(os.environ.get("NEWER_TOOLS", ROOT / "target/tools/newer/usr/bin"))


@contextlib.contextmanager
def exporter(*arguments: str, stderr: int | IO = subprocess.DEVNULL, **how: object) -> Iterator[int]:
    """The port of a `shmetrics serve`, for as long as a `with` lasts."""
    command = [str(RELEASE / "shmetrics"), "serve", *arguments, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=stderr, text=True, preexec_fn=die_with_the_parent, **how
    ) as process:
        try:
            yield int(process.stdout.readline().rsplit(":", 1)[1].split("/")[0])
        finally:
            process.kill()


class Daemon:
    """A server program that answers /-/ready once it can be used."""

    program: str
    ready = "/-/ready"
    listen = "--web.listen-address"

    def __enter__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="shmetrics-interop."))
        for _ in range(START_ATTEMPTS):  # another program may take the port first
            self.port = free_port()
            self._start()
            if self._is_ready():
                return self
            self._stop()
        log = self.log()
        shutil.rmtree(self.directory)
        raise AssertionError(f"{self.program} does not start:\n{log}")

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self.directory)

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def _start(self) -> None:
        with (self.directory / "log").open("wb") as log:
            command = [self.program, f"{self.listen}=127.0.0.1:{self.port}", *self.arguments()]
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.directory, preexec_fn=die_with_the_parent
            )

    def _is_ready(self) -> bool:
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if request(self.url(self.ready))[0] == 200:
                    return True
            except OSError:
                pass  # not listening yet
            time.sleep(0.05)
        return False

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(WATCHDOG_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Pushgateway(Daemon):
    """Strict about the grammar, about duplicates and about consistency; and it reads a page with Go's own parser."""

    program = "prometheus-pushgateway"
    _group = "/metrics/job/interop"
    _added = ("push_time_seconds", "push_failure_time_seconds")

    def arguments(self) -> list[str]:
        return ["--persistence.file="]

    def problems(self, page: bytes) -> list[str]:
        request(self.url(self._group), method="DELETE")
        status, answer = request(self.url(self._group), page, "PUT")
        return [] if status == 200 else [f"Pushgateway answered {status}: {answer.strip()}"]

    def pushed(self) -> list[Sample]:
        """The last page as Pushgateway shows it again."""
        status, page = request(self.url("/metrics"))
        assert status == 200, page
        samples = []
        for name, labels, value in parsed_samples(parse(page.encode())):
            if ("job", "interop") in labels and not name.startswith((OWN, *self._added)):
                samples.append((name, tuple(pair for pair in labels if pair[0] not in ("job", "instance")), value))
        return samples


    def transcoded(self, page: bytes, protobuf: bool) -> dict[str, Normal]:
        """What it gives back, in protobuf and in text, of a page in either."""
        request(self.url(self._group), method="DELETE")
        kind = metric_family.CONTENT_TYPE if protobuf else "text/plain; version=0.0.4"
        status, answer = request(self.url(self._group), page, "PUT", Content_Type=kind)
        if status != 200:
            raise ValueError(f"Pushgateway answered {status}: {answer.strip()}")
        return {
            "protobuf": self._pulled(decoders.protobuf, metric_family.CONTENT_TYPE),
            "text": self._pulled(decoders.text, "text/plain; version=0.0.4"),
        }

    def _pulled(self, decode: Callable[[bytes], Normal], accept: str) -> Normal:
        status, page = fetch(self.url("/metrics"), Accept=accept)
        assert status == 200, page
        grouping = {("job", "interop")}
        everything, found = decode(page).without(OWN), Normal()
        for part in ("samples", "created"):
            pulled = getattr(everything, part).items()
            getattr(found, part).update(
                ((name, labels - grouping), value)
                for (name, labels), value in pulled
                if grouping <= labels and name not in self._added
            )
        return found


class NewerPushgateway(Pushgateway):
    """It looks closer, and knows more of protobuf."""

    program = str(NEWER / "prometheus-pushgateway")


class VictoriaMetrics(Daemon):
    """A database that parses the text format by its own code, and gives back what it stored as JSON."""

    program = "victoria-metrics"
    ready = "/health"
    listen = "-httpListenAddr"

    def arguments(self) -> list[str]:
        return [f"-storageDataPath={self.directory / 'data'}", "-loggerLevel=ERROR", "-search.maxUniqueTimeseries=1000000"]

    def store(self, page: bytes, number: int) -> None:
        status, answer = request(self.url(f"/api/v1/import/prometheus?extra_label=registry={number}"), page, "POST")
        assert status < 300, answer

    def stored(self, last: int) -> dict[int, Normal]:
        """By the registry's number. It has no NaN, and writes infinity as JSON does not."""
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while not self._export(f'{{registry="{last}"}}'):  # it takes some time to be seen
            assert time.monotonic() < deadline, f"registry {last} was not stored"
            time.sleep(0.1)
        answer = self._export('{registry!=""}')
        found: dict[int, Normal] = {}
        for line in answer.split("\n")[:-1]:
            series = json.loads(re.sub(r'"values":\[\+?(-?)Inf\]', r'"values":[\1Infinity]', line))
            labels = series["metric"]
            name, number = labels.pop("__name__"), int(labels.pop("registry"))
            (value,) = series["values"]
            found.setdefault(number, Normal()).add(name, labels.items(), value)
        return found

    def _export(self, match: str) -> str:
        request(self.url("/internal/force_flush"))
        status, answer = request(self.url("/api/v1/export?" + urllib.parse.urlencode({"match[]": match})))
        assert status == 200, answer
        return answer


class Prometheus(Daemon):
    program = "prometheus"

    def __init__(self, targets: dict[str, int], *flags: str, **settings: dict) -> None:
        """Scrapes each target, a job and its port, every second. The settings are for jobs by their names."""
        self._targets, self._flags, self._settings = targets, flags, settings

    def arguments(self) -> list[str]:
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}], **self._settings.get(job, {})}
            for job, port in self._targets.items()
        ]
        settings = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
        config = self.directory / "prometheus.yml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        return [f"--config.file={config}", f"--storage.tsdb.path={self.directory / 'data'}", *self._flags]

    def query(self, expression: str, at: float | None = None) -> list[dict]:
        """An instant query's result."""
        parameters = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
        status, answer = request(self.url("/api/v1/query?" + urllib.parse.urlencode(parameters)))
        assert status == 200, f"{expression}: {answer}"
        return json.loads(answer)["data"]["result"]

    def exemplars(self, selector: str, start: float, end: float) -> list[dict]:
        parameters = {"query": selector, "start": f"{start:.3f}", "end": f"{end:.3f}"}
        status, answer = request(self.url("/api/v1/query_exemplars?" + urllib.parse.urlencode(parameters)))
        assert status == 200, f"{selector}: {answer}"
        return json.loads(answer)["data"]

    def metadata(self, job: str) -> dict[str, tuple[str, str, str]]:
        """Type, help and unit of each family of a job's targets."""
        match = urllib.parse.urlencode({"match_target": f'{{job="{job}"}}'})
        status, answer = request(self.url("/api/v1/targets/metadata?" + match))
        assert status == 200, answer
        return {m["metric"]: (m["type"], m["help"], m["unit"]) for m in json.loads(answer)["data"]}

    def values(self, expression: str, at: float | None = None) -> list[float]:
        return [float(series["value"][1]) for series in self.query(expression, at)]

    def own_metrics(self) -> dict[str, float]:
        """Sums over the labels of what it says about itself."""
        sums: dict[str, float] = {}
        for name, _, value in parsed_samples(parse(request(self.url("/metrics"))[1].encode())):
            sums[name] = sums.get(name, 0.0) + value
        return sums


class NewerPrometheus(Prometheus):
    """It is strict about content types, and asks for the format that it is told to ask for."""

    program = str(NEWER / "prometheus")
