#!/usr/bin/env python3
"""Counts the instructions of nginx for a request, with and without the module: instructions.py.

The configurations are those of run.py. One process serves them under valgrind, so the figures are
exact, and do not depend on other work of the machine. They do not show waiting: for memory, for
locks, for the kernel. Under valgrind the library counts in the series' own cells instead of those
of the processor. Needs valgrind, and the environment of run.py.
"""

import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

from run import CONTESTANTS, NGINX, Server

REQUESTS = 1000


class Counted(Server):
    """In the foreground, without workers."""

    def start(self):
        config = self.directory / "nginx.conf"
        config.write_text("daemon off; master_process off;\n" + config.read_text().replace("worker_processes 2;", ""))
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        self.process = subprocess.Popen([*command, NGINX, "-c", config, "-p", self.directory], stderr=subprocess.PIPE, text=True)

    def connect(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def instructions(self, requests):
        """Of its whole life, with this many requests."""
        self.start()
        with self.connect() as client:
            for _ in range(requests):
                client.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
                data = b""
                while not data.endswith(b"\r\n\r\nok"):
                    data += client.recv(4096)
        self.process.terminate()
        output = self.process.communicate()[1]
        for name in ("zone", "pid"):
            pathlib.Path(self.directory / name).unlink(missing_ok=True)
        return int(re.search(r"I +refs: +([\d,]+)", output)[1].replace(",", ""))


def main():
    if not shutil.which("valgrind"):
        sys.exit("skipped: the instructions of nginx (no valgrind)")
    print("|  | instructions of a request | more than without a module |\n| --- | --- | --- |")
    without = None
    for name, parts in CONTESTANTS.items():
        counts = []
        for requests in (REQUESTS, 2 * REQUESTS):
            server = Counted(*parts)
            counts.append(server.instructions(requests))
            shutil.rmtree(server.directory, ignore_errors=True)
        each = (counts[1] - counts[0]) / REQUESTS
        without = without or each
        print(f"| {name} | {each:,.0f} | {each - without:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
