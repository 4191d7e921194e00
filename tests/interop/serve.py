"""`shmetrics serve` with encryption, a password, clients' certificates and process metrics, scraped by real Prometheus servers.

SERVE_SECONDS (6) is the time under which processes that count are killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import tempfile
import time
import unittest
from pathlib import Path

import shm
from daemons import NewerPrometheus, Prometheus, exporter, request
from harness import main, needs
from processes import child
from scrape import complaints, wait_for_scrapes

SECONDS = float(os.environ.get("SERVE_SECONDS", "6"))
CERTIFICATES = shm.ROOT / "cli/tests/certs"
WORKERS = 3
# The hash of `s3cret`.
HASH = "$2b$04$abcdefghijklmnopqrstuuLZYjhNQAOdpbzt4WxWlUHjv1wsyH5DG"


def web_config(server: str) -> str:
    return f"""
tls_server_config:
  cert_file: {CERTIFICATES}/{server}.crt
  key_file: {CERTIFICATES}/{server}.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {CERTIFICATES}/ca.crt
basic_auth_users:
  ann: {HASH}
"""


class Exporter:
    """`shmetrics serve` with a web configuration, for as long as a `with` lasts."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments

    def __enter__(self) -> Exporter:
        self.directory = Path(tempfile.mkdtemp(prefix="shmetrics-serve."))
        self.configure("server")
        self._running = exporter(*self._arguments, "--web.config.file", str(self.directory / "web.yml"))
        self.port = self._running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)
        shutil.rmtree(self.directory)

    def configure(self, server: str) -> None:
        new = self.directory / "web.new"
        new.write_text(web_config(server))
        new.rename(self.directory / "web.yml")


def scrape_settings(password: str) -> dict:
    return {
        "scheme": "https",
        "tls_config": {
            "ca_file": f"{CERTIFICATES}/ca.crt",
            "cert_file": f"{CERTIFICATES}/client.crt",
            "key_file": f"{CERTIFICATES}/client.key",
        },
        "basic_auth": {"username": "ann", "password": password},
    }


def count(name: str) -> None:
    """At full speed, until it is killed."""
    segment = shm.Segment(name)
    turns = segment.register("counter", "turns", "Turns.").with_()
    while True:
        turns.update("inc")


class Scraped:
    server: type[Prometheus]

    def test_by_encryption_and_password_while_processes_are_killed(self) -> None:
        name = f"serve-{os.getpid()}"
        shm.Segment(name, how=shm.CREATE_NEW)  # it stays open: this process is one that counts
        workers: list[int] = []
        settings = {"right": scrape_settings("s3cret"), "wrong": scrape_settings("guess")}
        with contextlib.ExitStack() as stack:
            stack.callback(shm.remove, name)
            stack.callback(lambda: [stop(pid) for pid in workers])
            exporter = stack.enter_context(Exporter(name, "--process-metrics"))
            jobs = dict.fromkeys(settings, exporter.port)
            prometheus = stack.enter_context(self.server(jobs, **settings))
            workers += [start(name) for _ in range(WORKERS)]
            wait_for_scrapes(prometheus, list(jobs), time.time())
            begin, end = time.time(), time.monotonic() + SECONDS
            while time.monotonic() < end:
                time.sleep(0.5)
                stop(workers.pop(random.randrange(WORKERS)))
                workers.append(start(name))
                exporter.configure(random.choice(["server", "server2"]))
            wait_for_scrapes(prometheus, list(jobs), time.time())
            window = f"[{int(time.time() - begin) + 2}s]"
            self.assertEqual(prometheus.values(f'min_over_time(up{{job="right"}}{window})'), [1], errors(prometheus))
            self.assertEqual(prometheus.values(f'max_over_time(up{{job="wrong"}}{window})'), [0])
            for counter in ("turns_total", "process_cpu_seconds_total"):
                self.assertEqual(prometheus.values(f"resets({counter}{window})"), [0], counter)
                self.assertGreater(prometheus.values(f"increase({counter}{window})")[0], 0, counter)
            self.assertEqual(prometheus.values("shmetrics_serve_processes"), [WORKERS + 1])
            self.assertGreater(len(prometheus.query(f"count by (pid) (count_over_time(process_worker_threads{window}))")), WORKERS)
            told = [line for line in complaints(prometheus) if "wrong" not in line]
            self.assertEqual(told, [])


def errors(prometheus: Prometheus) -> list[str]:
    """What it says of its last scrapes."""
    _, answer = request(prometheus.url("/api/v1/targets"))
    return [f"{t['scrapePool']}: {t['lastError']}" for t in json.loads(answer)["data"]["activeTargets"]]


def start(name: str) -> int:
    pid = os.fork()
    if pid == 0:
        child(lambda: count(name))
    return pid


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@needs(Prometheus.program)
class ScrapedByPrometheus(Scraped, unittest.TestCase):
    server = Prometheus


@needs(NewerPrometheus.program)
class ScrapedByNewerPrometheus(Scraped, unittest.TestCase):
    server = NewerPrometheus


if __name__ == "__main__":
    main()
