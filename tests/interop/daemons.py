"""Real Prometheus software on loopback ports, each with a directory of its own, for as long as a `with` lasts."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from model import Sample
from oracles import OWN, parse, parsed_samples
from processes import die_with_the_parent

WATCHDOG_SECONDS = 60
START_ATTEMPTS = 3


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def request(url: str, body: bytes | None = None, method: str = "GET") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, body, method=method), timeout=WATCHDOG_SECONDS
        ) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(errors="replace")


class Daemon:
    """A server program that answers /-/ready once it can be used."""

    program: str

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
            command = [self.program, f"--web.listen-address=127.0.0.1:{self.port}", *self.arguments()]
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.directory, preexec_fn=die_with_the_parent
            )

    def _is_ready(self) -> bool:
        deadline = time.monotonic() + WATCHDOG_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if request(self.url("/-/ready"))[0] == 200:
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


class Prometheus(Daemon):
    program = "prometheus"

    def __init__(self, targets: dict[str, int], *features: str) -> None:
        """Scrapes each target, a job and its port, every second."""
        self._targets, self._features = targets, features

    def arguments(self) -> list[str]:
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            for job, port in self._targets.items()
        ]
        settings = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
        config = self.directory / "prometheus.yml"
        config.write_text(json.dumps(settings))  # JSON is YAML
        features = [f"--enable-feature={','.join(self._features)}"] if self._features else []
        return [f"--config.file={config}", f"--storage.tsdb.path={self.directory / 'data'}", *features]

    def metadata(self, job: str) -> dict[str, str]:
        """The types of a target's families, by the names that its page has."""
        status, answer = request(self.url("/api/v1/targets/metadata"))
        assert status == 200, answer
        return {m["metric"]: m["type"] for m in json.loads(answer)["data"] if m["target"]["job"] == job}

    def query(self, expression: str, at: float | None = None) -> list[dict]:
        """An instant query's result."""
        parameters = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
        status, answer = request(self.url("/api/v1/query?" + urllib.parse.urlencode(parameters)))
        assert status == 200, f"{expression}: {answer}"
        return json.loads(answer)["data"]["result"]

    def values(self, expression: str, at: float | None = None) -> list[float]:
        return [float(series["value"][1]) for series in self.query(expression, at)]

    def own_metrics(self) -> dict[str, float]:
        """Sums over the labels of what it says about itself."""
        sums: dict[str, float] = {}
        for name, _, value in parsed_samples(parse(request(self.url("/metrics"))[1].encode())):
            sums[name] = sums.get(name, 0.0) + value
        return sums
