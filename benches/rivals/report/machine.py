#!/usr/bin/env python3
"""Prints what the benchmarks run on, and which versions of all contestants, as JSON. From the repository's root."""

import json
import os
import re
import subprocess
import time
import tomllib

CRATES = ("prometheus", "prometheus-client", "measured", "fastmetrics", "foundations-metrics", "metrics", "metrics-exporter-prometheus")


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def crates(lock, manifest):
    """The versions that our own manifest asks for: a rival may depend on another version of another rival."""
    locked = {}
    for package in tomllib.loads(lock)["package"]:
        locked.setdefault(package["name"], []).append(package["version"])
    dependencies = tomllib.loads(manifest)["dependencies"]
    asked = {name: spec if isinstance(spec := dependencies[name], str) else spec["version"] for name in CRATES}

    def pick(name):
        wanted = asked[name].lstrip("=^")
        return next((version for version in locked[name] if version == wanted), max(locked[name]))

    return {name: pick(name) for name in CRATES}


def main():
    cpu = re.search(r"^model name\s*: (.*)$", open("/proc/cpuinfo").read(), re.MULTILINE)
    family = re.search(r"^cpu family\s*: (\d+)\nmodel\s*: (\d+)", open("/proc/cpuinfo").read(), re.MULTILINE)
    virtual = output("systemd-detect-virt") or ("kvm" if "hypervisor" in open("/proc/cpuinfo").read() else "")
    versions = crates(open("benches/rivals/Cargo.lock").read(), open("benches/rivals/Cargo.toml").read())
    cpp = output("dpkg-query", "-W", "-f", "${Version}", "prometheus-cpp-dev")
    if cpp:
        versions["prometheus-cpp (Debian)"] = cpp
    python = os.environ.get("BENCH_PYTHON")
    if python:
        client = "from importlib.metadata import version; print(version('prometheus_client'))"
        versions["prometheus_client (Python)"] = output(python, "-c", client)
    print(json.dumps({
        "date": time.strftime("%Y-%m-%d"),
        "cpu": cpu[1] if cpu else "unknown",
        "family": f"family {family[1]}, model {family[2]}" if family else "",
        "processors": len(os.sched_getaffinity(0)),
        "virtual": virtual not in ("", "none"),
        "kernel": os.uname().release,
        "libc": output("getconf", "GNU_LIBC_VERSION"),
        "rustc": output("rustc", "--version"),
        "load": os.getloadavg()[0],
        "full": os.environ.get("BENCH_FULL", "0") == "1",
        "versions": versions,
    }, indent=1))


if __name__ == "__main__":
    main()
