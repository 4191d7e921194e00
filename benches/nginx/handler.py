#!/usr/bin/env python3
"""Measures how long the handler takes that counts a request in nginx: handler.py [ROUNDS] [SECONDS].

The configurations are those of run.py, and one that counts in 200,000 series (SERIES) in random
order, whose memory is not in the caches of the processor. A module of its own (handler.c) reads the
time stamp counter before and after all handlers of a request's last phase. Each round measures all
configurations, in an order that changes. A handler that is interrupted by the kernel or by another
process takes some microseconds: the mean of a machine with other work is not that of the handler,
but the median is. The first row has what the counter and nginx' own handlers take: subtract it.
Needs wrk, a C compiler, nginx-dev, and the environment of run.py; NGINX_MODULE is in the directory
where build.sh has compiled it.
"""

import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile

import run
from scrape import SERIES, fill

SOURCE = os.environ.get("NGINX_SOURCE", "/usr/share/nginx/src")
COLD = f"{SERIES:,} series in random order"
CLOCK = """
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>
int main(void) {
    struct timespec a, b, wait = {0, 200000000};
    clock_gettime(CLOCK_MONOTONIC, &a);
    unsigned long long first = __rdtsc();
    nanosleep(&wait, NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    unsigned long long last = __rdtsc();
    printf("%.6f", (last - first) / ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)));
}
"""


def compiled(directory):
    """The module, and the cycles of the time stamp counter in a nanosecond."""
    module = directory / "handler.so"
    folders = [pathlib.Path(run.MODULE).parent]
    folders += [f"{SOURCE}/src/{name}" for name in ("core", "event", "event/modules", "os/unix", "http", "http/modules", "http/v2")]
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-O2", "-fPIC", "-shared", *(f"-I{folder}" for folder in folders), "-o", module, pathlib.Path(__file__).with_name("handler.c")], check=True)
    (directory / "clock.c").write_text(CLOCK)
    subprocess.run([compiler, "-O1", "-o", directory / "clock", directory / "clock.c"], check=True)
    return module, float(subprocess.run([directory / "clock"], capture_output=True, check=True).stdout)


class Timed(run.Server):
    def __init__(self, module, main, http, location):
        super().__init__(main + f"load_module {module};", http, location)
        config = self.directory / "nginx.conf"
        off = "shmetrics off; " if run.MODULE in main else ""
        config.write_text(config.read_text().replace("return 200 ok; }", "return 200 ok; } " + f"location = /times {{ {off}handler_times; }}", 1))

    def times(self):
        """{cycles: requests} since the last call."""
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            client.sendall(b"GET /times HTTP/1.0\r\n\r\n")
            data = b""
            while part := client.recv(1 << 20):
                data += part
        return {int(cycles): int(requests) for cycles, requests in (line.split() for line in data.partition(b"\r\n\r\n")[2].splitlines())}

    def load(self, seconds, script):
        command = ["wrk", "-t1", "-c32", f"-d{seconds}s", *(["-s", script] if script else []), f"http://127.0.0.1:{self.port}/"]
        subprocess.run(command, capture_output=True, check=True)


def summary(times):
    """Median, mean and 99 %, in cycles."""
    total, passed, at = sum(times.values()), 0, {}
    for cycles in sorted(times):
        passed += times[cycles]
        for share in (0.5, 0.99):
            if passed >= share * total:
                at.setdefault(share, cycles)
    return at[0.5], sum(cycles * requests for cycles, requests in times.items()) / total, at[0.99]


def main():
    rounds, seconds = (int(text) for text in (sys.argv[1:] + ["12", "1"][len(sys.argv) - 1 :])[:2])
    if not shutil.which("wrk"):
        sys.exit("skipped: the handlers of nginx (no wrk)")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        module, clock = compiled(folder)
        # Each request has another label value than the one before.
        script = folder / "any.lua"
        script.write_text(f'request = function() return wrk.format("GET", "/?a=series-" .. math.random(0, {SERIES - 1})) end\n')
        contestants = dict(run.CONTESTANTS)
        contestants[COLD] = (run.LOAD.replace("size=64m", "size=256m"), "", "shmetrics_counter filled max_series=0 a=$arg_a if=$arg_a;")
        servers = {name: Timed(module, *parts) for name, parts in contestants.items()}
        names, found = list(servers), {name: [] for name in servers}
        try:
            for server in servers.values():
                server.start()
            fill(servers[COLD].port)
            for i in range(rounds):
                for name in names[i % len(names) :] + names[: i % len(names)]:
                    servers[name].times()
                    servers[name].load(seconds, script if name == COLD else None)
                    found[name].append(summary(servers[name].times()))
                print(f"round {i + 1} of {rounds}", file=sys.stderr)
        finally:
            for server in servers.values():
                server.stop()
    print("|  | median, ns | more than no module | quartiles of rounds | mean, ns | 99 %, ns |\n| --- | --- | --- | --- | --- | --- |")
    for name in names:
        half, mean, most = (statistics.median(one[k] for one in found[name]) / clock for k in range(3))
        more = [(a[0] - b[0]) / clock for a, b in zip(found[name], found[names[0]], strict=True)]
        low, middle, high = statistics.quantiles(more, n=4)
        print(f"| {name} | {half:.0f} | {middle:.0f} | {low:.0f} to {high:.0f} | {mean:.0f} | {most:.0f} |")


if __name__ == "__main__":
    main()
