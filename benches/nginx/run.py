#!/usr/bin/env python3
"""Compares the throughput of nginx with and without the module: run.py [ROUNDS] [SECONDS].

Several nginx with two workers each serve one small answer, and differ only in what counts the
requests. In each round wrk loads one after the other, in an order that changes. The table has the
medians of the ratios to the nginx without any module in the same round: single ratios swing by a
fifth, and more on a machine with other work. There, the time that the workers had a processor for a
request is steadier than the throughput. Needs wrk, and the environment of
bindings/nginx/tests/run.sh: NGINX_MODULE, and for rivals NGINX_VTS and NGINX_LUA_PROMETHEUS, the
directory of nginx-lua-prometheus (with the package libnginx-mod-http-lua).
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
MODULE = os.environ["NGINX_MODULE"]
VTS = os.environ.get("NGINX_VTS")
LUA = os.environ.get("NGINX_LUA_PROMETHEUS")
MODULES = re.search(r"--modules-path=(\S+)", subprocess.run([NGINX, "-V"], capture_output=True, text=True, check=True).stderr)[1]
LOAD = f"load_module {MODULE};\nshmetrics_zone @DIR@/zone size=64m;\n"

# Name: main context, http context, location of the answer.
CONTESTANTS = {
    "no module": ("", "", ""),
    "the module, all off": (LOAD, "", ""),
    "default families": (LOAD, "shmetrics on;", ""),
    "default families, and two of variable labels": (
        LOAD,
        "shmetrics on;",
        "shmetrics_counter by_host host=$host method=$request_method status=$status;"
        "shmetrics_histogram size value=$bytes_sent buckets=100,1000,10000 host=$host;",
    ),
    "default families, and two of the same variable labels": (
        LOAD,
        "shmetrics on;",
        "shmetrics_counter by_host host=$host method=$request_method status=$status;"
        "shmetrics_histogram size value=$bytes_sent buckets=100,1000,10000 host=$host method=$request_method status=$status;",
    ),
    "default families, and two of constant labels": (
        LOAD,
        "shmetrics on;",
        "shmetrics_counter by_host host=bench method=GET status=200;"
        "shmetrics_histogram size value=$bytes_sent buckets=100,1000,10000 host=bench method=GET status=200;",
    ),
    "names of vts": (LOAD, "shmetrics_names vts; shmetrics on; shmetrics_buckets 0.005 0.05 0.5 5;", ""),
}
if VTS:
    CONTESTANTS["nginx-module-vts"] = (
        f"load_module {VTS};\n",
        "vhost_traffic_status_zone; vhost_traffic_status_histogram_buckets 0.005 0.05 0.5 5;",
        "",
    )
if LUA:
    # The metrics of its manual.
    CONTESTANTS["nginx-lua-prometheus"] = (
        f"load_module {MODULES}/ndk_http_module.so; load_module {MODULES}/ngx_http_lua_module.so;\n",
        f"""lua_package_path "{LUA}/?.lua;;"; lua_shared_dict prometheus_metrics 10m;
        init_worker_by_lua_block {{
            prometheus = require("prometheus").init("prometheus_metrics")
            requests = prometheus:counter("nginx_http_requests_total", "Number of HTTP requests", {{"host", "status"}})
            latency = prometheus:histogram("nginx_http_request_duration_seconds", "HTTP request latency", {{"host"}})
        }}
        log_by_lua_block {{
            requests:inc(1, {{ngx.var.server_name, ngx.var.status}})
            latency:observe(tonumber(ngx.var.request_time), {{ngx.var.server_name}})
        }}""",
        "",
    )


class Server:
    """An nginx that listens on a port that the kernel chooses."""

    def __init__(self, main, http, location):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="nginx-bench-", dir="/dev/shm"))
        self.directory.chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        user = "user www-data;" if os.geteuid() == 0 else ""
        text = (
            f"{main}{user} worker_processes 2; pid @DIR@/pid; error_log @DIR@/error.log;\n"
            "events { worker_connections 512; }\n"
            f"http {{ access_log off; keepalive_requests 1000000;\n{http}\n"
            f"server {{ listen 127.0.0.1:{self.port}; server_name bench; location / {{ {location} return 200 ok; }} }} }}\n"
        )
        (self.directory / "nginx.conf").write_text(text.replace("@DIR@", str(self.directory)))

    def start(self):
        subprocess.run([NGINX, "-c", self.directory / "nginx.conf", "-p", self.directory, "-e", self.directory / "error.log"], check=True)

    def processor(self):
        """Nanoseconds that the workers have run."""
        master = int((self.directory / "pid").read_text())
        children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        return sum(int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in children)

    def load(self, seconds):
        """Requests a second, and microseconds of processor time for each."""
        before = self.processor()
        command = ["wrk", "-t1", "-c32", f"-d{seconds}s", f"http://127.0.0.1:{self.port}/"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "Non-2xx" not in output, output
        requests = int(re.search(r"(\d+) requests in", output)[1])
        return float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]), (self.processor() - before) / requests / 1000

    def stop(self):
        os.kill(int((self.directory / "pid").read_text()), signal.SIGTERM)
        shutil.rmtree(self.directory, ignore_errors=True)


def main():
    rounds, seconds = (int(text) for text in (sys.argv[1:] + ["12", "1"][len(sys.argv) - 1 :])[:2])
    if not shutil.which("wrk"):
        sys.exit("skipped: the benchmark of nginx (no wrk)")
    servers = {name: Server(*parts) for name, parts in CONTESTANTS.items()}
    names, figures = list(servers), {name: [] for name in servers}
    try:
        for server in servers.values():
            server.start()
            server.load(1)
        for i in range(rounds):
            for name in names[i % len(names) :] + names[: i % len(names)]:
                figures[name].append(servers[name].load(seconds))
            print(f"round {i + 1} of {rounds}", file=sys.stderr)
    finally:
        for server in servers.values():
            server.stop()
    print("|  | throughput ÷ no module | quartiles | processor time ÷ no module | quartiles | processor time of a request |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        cells = [name]
        for which in range(2):
            ratios = [a[which] / b[which] for a, b in zip(figures[name], figures[names[0]], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            cells += [f"{middle:.2f}", f"{low:.2f} to {high:.2f}"]
        cells.append(f"{statistics.median(time for _, time in figures[name]):.2f} µs")
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
