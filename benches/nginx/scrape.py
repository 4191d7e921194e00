#!/usr/bin/env python3
"""Compares the latency of requests with and without scrapes beside them: scrape.py [ROUNDS] [SECONDS].

An nginx with two workers holds 200,000 series (SERIES). wrk paces requests for a small answer over
many connections, so a worker that is late does not slow the load down. Meanwhile a client reads the
page once a second or without a pause, or, as the control, a static file of the same size without a
pause. Each round measures all of these, in an order that changes. The table has the medians of the
ratios to the latency without a scrape in the same round. With RATE, as RATE=20000, an open-loop load
of so many requests a second takes the place of wrk (load.c): latencies count from the time that a
request was due. Needs wrk, or with RATE a C compiler, and the environment of
bindings/nginx/tests/run.sh: NGINX_MODULE.
"""

import contextlib
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import threading

from run import LOAD, Server

SERIES = int(os.environ.get("SERIES", "200000"))
RATE = os.environ.get("RATE")
CONNECTIONS = 64
# Milliseconds that a connection waits between requests: about 11,000 requests a second of all.
PACE = "function delay() return math.random(1, 10) end\n"
HTTP = "shmetrics on;"
# Server ends the last location.
LOCATIONS = """shmetrics_counter filled max_series=0 a=$arg_a if=$arg_a; return 200 ok; }
location = /metrics { shmetrics off; shmetrics_page; }
location = /file { shmetrics off; alias @DIR@/file; }
location = /other {"""


def fetch(port, path, to=None):
    """The bytes of an answer, head included."""
    count = 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        while part := client.recv(1 << 20):
            count += len(part)
            if to:
                to.write(part)
    return count


def fill(port):
    for first in range(0, SERIES, 1000):
        with socket.create_connection(("127.0.0.1", port)) as client:
            for i in range(first, min(first + 1000, SERIES)):
                client.sendall(b"GET /?a=series-%d HTTP/1.1\r\nHost: bench\r\n\r\n" % i)
            client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            while client.recv(1 << 20):
                pass


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def measure(server, seconds, path, pause):
    """Latencies of the load (50 %, 99 %), and the pages read meanwhile."""
    stop, pages = threading.Event(), 0

    def scrape():
        nonlocal pages
        while not stop.is_set():
            fetch(server.port, path)
            pages += 1
            stop.wait(pause)

    thread = threading.Thread(target=scrape)
    if path:
        thread.start()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", server.directory / "pace.lua", f"http://127.0.0.1:{server.port}/"]
    if RATE:
        command = [server.directory / "load", str(server.port), RATE, str(seconds), str(CONNECTIONS)]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        stop.set()
        if path:
            thread.join()
    if RATE:
        return *(float(text) for text in output.split()[:2]), pages
    # Other lines have shares as well.
    half, most = (milliseconds(re.search(rf"^ +{share} +(\S+)$", output, re.MULTILINE)[1]) for share in ("50%", "99%"))
    return half, most, pages


def main():
    rounds, seconds = (int(text) for text in (sys.argv[1:] + ["12", "3"][len(sys.argv) - 1 :])[:2])
    if not RATE and not shutil.which("wrk"):
        sys.exit("skipped: scrapes of nginx (no wrk)")
    server = Server(LOAD.replace("size=64m", "size=256m"), HTTP, LOCATIONS)
    (server.directory / "pace.lua").write_text(PACE)
    if RATE:
        program = pathlib.Path(__file__).with_name("load.c")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-Wall", "-Wextra", "-o", server.directory / "load", program], check=True)
    cases = {
        "no scrape": (None, 0),
        "the page once a second": ("/metrics", 1),
        "the page without a pause": ("/metrics", 0),
        "a file of this size once a second": ("/file", 1),
        "a file of this size without a pause": ("/file", 0),
    }
    names, found = list(cases), {name: [] for name in cases}
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        fill(server.port)
        with open(server.directory / "page", "wb") as page:
            size = fetch(server.port, "/metrics", page)
        (server.directory / "page").rename(server.directory / "file")
        (server.directory / "file").chmod(0o644)
        print(f"{size:,} bytes of {SERIES:,} series", file=sys.stderr)
        for i in range(rounds):
            for name in names[i % len(names) :] + names[: i % len(names)]:
                found[name].append(measure(server, seconds, *cases[name]))
            print(f"round {i + 1} of {rounds}", file=sys.stderr)
    print("|  | 50 % | 99 % | 99 % ÷ no scrape | quartiles | read in a second |\n| --- | --- | --- | --- | --- | --- |")
    for name in names:
        ratios = [a[1] / b[1] for a, b in zip(found[name], found[names[0]], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        half, most, pages = (statistics.median(one[k] for one in found[name]) for k in range(3))
        print(f"| {name} | {half:.2f} ms | {most:.2f} ms | {middle:.2f} | {low:.2f} to {high:.2f} | {pages / seconds:.1f} |")


if __name__ == "__main__":
    main()
