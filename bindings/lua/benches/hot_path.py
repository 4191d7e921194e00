"""Measures updates and pages in nginx: ours, the same calls in C, and nginx-lua-prometheus.

Short rounds in turn, medians with quartiles. NGINX_LUA_PROMETHEUS names the sources of the rival;
without it the rival is left out. Run by hot_path.sh.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from places import LISTEN, PEER, LuaNginx, total  # noqa: E402

ROUNDS = int(os.environ.get("ROUNDS", "21"))
OPERATIONS = int(os.environ.get("OPERATIONS", "200000"))
SERIES = int(os.environ.get("SERIES", "200000"))
KINDS = ["counter", "gauge", "histogram"]

REGISTER = """
    counter = prometheus:counter("c", "Help.", {"host", "status"})
    gauge = prometheus:gauge("g", "Help.", {"host", "status"})
    histogram = prometheus:histogram("h", "Help.", {"host", "status"})
    many = prometheus:counter("many", "Help.", {"host", "number"})
    hosts, statuses = {"example.org", "example.com"}, {"200", "404"}
"""
# Each loop in a function of its own, as a trace has it. Processor time, in nanoseconds.
RUN = (
    LISTEN
    + """
location = /run { content_by_lua_block {
    local n = tonumber(ngx.var.arg_n)
    local function timed(f) local begun = os.clock() f() ngx.print((os.clock() - begun) / n * 1e9, " ") end
    timed(function() local c, h, s = counter, hosts, statuses for i = 1, n do c:inc(1, {h[i % 2 + 1], s[i % 2 + 1]}) end end)
    timed(function() local g, h, s = gauge, hosts, statuses for i = 1, n do g:set(i, {h[i % 2 + 1], s[i % 2 + 1]}) end end)
    timed(function() local m, h, s = histogram, hosts, statuses for i = 1, n do m:observe(0.3, {h[i % 2 + 1], s[i % 2 + 1]}) end end)
} }
location = /fill { content_by_lua_block { for i = 1, tonumber(ngx.var.arg_n) do many:inc(1, {"a host of some length", tostring(i)}) end } }
location / { return 200 ok; }
"""
)


def told(values):
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:10.1f} ({low:.1f} to {high:.1f})"


def updates(contestants):
    results = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            results[name].append(run())
    for i, kind in enumerate(KINDS):
        print(f"{kind}, two labels: ns for each update")
        for name, rounds in results.items():
            ratio = statistics.median(row[i] / first[i] for row, first in zip(rounds, results["ours"]))
            print(f"    {name:22} {told([row[i] for row in rounds])}  {ratio:.2f} of ours")


def latencies(nginx, seconds):
    """The 99th percentile of requests that wait for each other, in milliseconds. Of fewer than a
    hundred, the longest."""
    found, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        assert nginx.get().body == b"ok"
        found.append((time.perf_counter() - begun) * 1000)
    return statistics.quantiles(found, n=100)[98] if len(found) >= 100 else max(found)


def scrape(nginx, stop, times):
    while not stop.is_set():
        begun = time.perf_counter()
        size = len(nginx.get("/metrics").body)
        assert size > SERIES * 20, size
        times.append((time.perf_counter() - begun) * 1000)


def pages(nginxes):
    """One worker. Scrapes follow each other without a pause."""
    for nginx in nginxes.values():
        assert nginx.get(f"/fill?n={SERIES}").status == 200
    results = {name: ([], [], []) for name in nginxes}
    for _ in range(max(3, ROUNDS // 4)):
        for name, nginx in nginxes.items():
            alone, scraped, scrapes = results[name]
            alone.append(latencies(nginx, 1))
            stop = threading.Event()
            thread = threading.Thread(target=scrape, args=(nginx, stop, scrapes))
            thread.start()
            scraped.append(latencies(nginx, 2))
            stop.set()
            thread.join()
    print(f"{SERIES} series: ms")
    for name, (alone, scraped, scrapes) in results.items():
        print(f"    {name:22} page {told(scrapes)}   p99 of others {told(alone)}, while scraped {told(scraped)}")


def main():
    calls = os.environ["LUA_CALLS"]
    with tempfile.TemporaryDirectory(prefix="shmetrics-lua-", dir="/dev/shm") as shm:

        def in_c():
            return [float(x) for x in subprocess.run([calls, f"{shm}/c", str(OPERATIONS)], capture_output=True, text=True, check=True).stdout.split()]

        def in_nginx(nginx):
            def run():
                return [float(x) for x in nginx.get(f"/run?n={OPERATIONS}").body.split()]

            return run

        nginxes = {"ours": LuaNginx(RUN, REGISTER, workers=1, options='max_size = "512m"')}
        if PEER:
            nginxes["nginx-lua-prometheus"] = LuaNginx(RUN, REGISTER, workers=1, dictionary="metrics")
        try:
            for nginx in nginxes.values():
                nginx.start()
            updates({"ours": in_nginx(nginxes["ours"]), "C": in_c, **{name: in_nginx(nginx) for name, nginx in nginxes.items() if name != "ours"}})
            found = nginxes["ours"].samples()
            assert total(found, "c") == ROUNDS * OPERATIONS, "an update was lost"
            pages(nginxes)
        finally:
            for nginx in nginxes.values():
                nginx.stop()


if __name__ == "__main__":
    main()
