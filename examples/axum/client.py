#!/usr/bin/env python3
"""Asks the example's two processes, and fails if they do not show each other's counts.

usage: client.py PROGRAM
"""

import gzip
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Connection(http.client.HTTPConnection):
    """To one of the processes, whichever the kernel chose."""

    def get(self, path, **headers):
        self.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = self.getresponse()
        return answer, answer.read()

    def pid(self):
        return int(re.search(rb"process (\d+)", self.get("/")[1])[1])


def sample(page, name):
    found = re.search(rf"^{re.escape(name)} (.+)$", page.decode(), re.M)
    return float(found[1]) if found else 0.0


def wait_for(port):
    for _ in range(200):
        try:
            return Connection("127.0.0.1", port, timeout=10).pid()
        except OSError:
            time.sleep(0.05)
    sys.exit("the example does not listen")


def page_when(connection, right):
    for _ in range(50):
        page = connection.get("/metrics")[1]
        if right(sample(page, "http_requests_in_progress")):
            return page
        time.sleep(0.02)
    sys.exit(f"the number of requests in progress is wrong:\n{page.decode()}")


def check(port):
    wait_for(port)
    sent, seen = 1, set()
    counted = 'http_requests_total{method="GET",path="/",status="200"}'
    while len(seen) < 2 and sent < 500 or sent < 50:
        connection = Connection("127.0.0.1", port, timeout=10)
        seen.add(connection.pid())
        sent += 1
        answer, page = connection.get("/metrics")  # the same connection: the same process
        assert answer.getheader("Content-Type") == TEXT, answer.getheader("Content-Type")
        assert sample(page, counted) == sent, (sent, page)
        assert sample(page, 'http_request_duration_seconds_count{path="/"}') == sent, (sent, page)
    assert len(seen) == 2, f"{sent} requests went to {seen}"
    print(f"{sent} requests to processes {sorted(seen)}: each shows the counts of both")

    answer, page = connection.get("/metrics", Accept="application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1")
    assert answer.getheader("Content-Type") == OPENMETRICS, answer.getheader("Content-Type")
    assert page.endswith(b"# EOF\n"), page
    answer, page = connection.get("/metrics", Accept_Encoding="gzip")
    assert answer.getheader("Content-Encoding") == "gzip" and b"# TYPE" in gzip.decompress(page)
    vary = ",".join(answer.headers.get_all("Vary")).lower().replace(" ", "").split(",")
    assert sorted(vary) == ["accept", "accept-encoding"], vary
    for path in ["/no/such/page", "/nor/this"]:
        assert connection.get(path)[0].status == 404
    page = connection.get("/metrics")[1]
    assert sample(page, 'http_requests_total{method="GET",path="other",status="404"}') == 2, page
    print("Content-Type, Content-Encoding and Vary are right; unknown paths share a label")

    def slow():
        try:
            Connection("127.0.0.1", port, timeout=10).get("/slow")
        except OSError:
            pass  # its process was killed

    threads = [threading.Thread(target=slow) for _ in range(20)]
    for thread in threads:
        thread.start()
    mine = connection.pid()
    before = page_when(connection, lambda in_progress: in_progress == 21)  # 20, and the page itself
    other = (seen - {mine}).pop()
    os.kill(other, signal.SIGKILL)
    page = page_when(connection, lambda in_progress: in_progress < 21)
    left = sample(page, "http_requests_in_progress")
    assert sample(page, counted) == sample(before, counted), page
    for thread in threads:
        thread.join()
    page = connection.get("/metrics")[1]
    assert sample(page, "http_requests_in_progress") == 1, page
    print(f"process {other} killed: its {21 - left:.0f} requests are no longer in progress, and no count is lost")


def main():
    port = free_port()
    environment = dict(os.environ, SHMETRICS_SEGMENT=f"axum-example-{os.getpid()}")
    server = subprocess.Popen([sys.argv[1], f"127.0.0.1:{port}"], env=environment, start_new_session=True)
    try:
        check(port)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        directory = os.environ.get("SHMETRICS_DIR", "/dev/shm")
        os.unlink(f"{directory}/shmetrics-{environment['SHMETRICS_SEGMENT']}")


if __name__ == "__main__":
    main()
