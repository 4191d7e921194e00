#!/usr/bin/env python3
"""Runs each test of a Rust test program in a process of its own: a runner for cargo.

Tests of one program are threads of one process by default. Here they count processes, open
descriptors and children, and a fork of one test would be seen by another. As many tests run at once
as there are processors, or RUST_TEST_THREADS.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

# No sound test comes near it, also on a machine with other work.
SECONDS = 1200


def listed(program, arguments):
    command = [program, *arguments, "--list", "--format", "terse"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.removesuffix(": test") for line in lines if line.endswith(": test")]


def run(program, name):
    """The exit status, and what the test printed."""
    # A file and no pipe: a process that the test leaves behind must not hold the runner up.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([program, "--exact", name], stdout=output, stderr=subprocess.STDOUT)
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = f"killed after {SECONDS} s"
        output.seek(0)
        return status, output.read().decode(errors="replace")


def main():
    program, *arguments = sys.argv[1:]
    started = time.monotonic()
    ignored = set(listed(program, [*arguments, "--ignored"]))
    names = [name for name in listed(program, arguments) if name not in ignored]
    print(f"\nrunning {len(names)} tests, each in a process", flush=True)

    def one(name):
        status, output = run(program, name)
        # A program that runs another number of tests than one has not run this test.
        passed = status == 0 and "test result: ok. 1 passed" in output
        print(f"test {name} ... {'ok' if passed else 'FAILED'}\n", end="", flush=True)
        return None if passed else f"\n---- {name}: exit status {status}\n{output}"

    workers = int(os.environ.get("RUST_TEST_THREADS") or len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(workers) as pool:
        failures = [failure for failure in pool.map(one, names) if failure]
    print("".join(failures), end="")
    print(
        f"\ntest result: {'FAILED' if failures else 'ok'}. {len(names) - len(failures)} passed; "
        f"{len(failures)} failed; {len(ignored)} ignored; finished in {time.monotonic() - started:.2f}s",
        flush=True,
    )
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
