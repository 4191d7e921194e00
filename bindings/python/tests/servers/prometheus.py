"""The real Prometheus on a loopback port, for as long as a `with` lasts."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.parse
from pathlib import Path

from support import die_with_the_parent, free_port, get, wait_until

# It puts a scrape's timestamp on the beat of its interval if it is this near.
TIMESTAMP_TOLERANCE = 0.002


class Prometheus:
    """Scrapes each target, a job and its port, every second."""

    def __init__(self, targets: dict[str, int], directory: Path) -> None:
        self._targets, self._directory = targets, directory

    def __enter__(self) -> Prometheus:
        self._directory.mkdir()
        config = self._directory / "prometheus.yml"
        jobs = [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in self._targets.items()]
        config.write_text(json.dumps({"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}))
        self.port = free_port()
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                ],
                stdout=log,
                stderr=log,
                cwd=self._directory,
                preexec_fn=die_with_the_parent,
            )
        wait_until(lambda: get(self.port, "/-/ready")[0] == 200, "Prometheus")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        status, answer, _ = get(self.port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert status == 200, f"{expression}: {answer}"
        return [(series["metric"], float(series["value"][1])) for series in json.loads(answer)["data"]["result"]]

    def wait_for_scrapes(self, since: float) -> None:
        def done() -> bool:
            last = {metric["job"]: at for metric, at in self.query("timestamp(up)")}
            return all(last.get(job, 0) > since + TIMESTAMP_TOLERANCE for job in self._targets)

        wait_until(done, f"scrapes of {list(self._targets)}")

    def complaints(self) -> list[str]:
        log = (self._directory / "log").read_text(errors="replace")
        return [line for line in log.splitlines() if "level=warn" in line or "level=error" in line]


def now() -> float:
    return time.time()
