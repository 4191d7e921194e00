#!/usr/bin/env python3
"""Runs the prefork server under load, kills its workers at random, and checks that the page is right to the request.

The time is $DEMO_SECONDS (20); 0 or --forever runs until Ctrl-C, and then compares as well.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time

from driver.load import Load
from driver.page import Page, fetch
from driver.report import report
from driver.screen import Screen, State
from driver.server import WATCHDOG_SECONDS, Failure, Server
from driver.verdict import judge

WORKERS_PER_LANGUAGE = 3
CLIENTS = 8  # one fewer than there are workers, so that a scrape always finds one
SCRAPE_SECONDS = 1.0
KILL_SECONDS = (0.5, 1.5)  # between two kills


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, help="the master's program")
    parser.add_argument("--cli", required=True, help="the shmetrics command")
    parser.add_argument("--port", type=int, default=0, help="of the application; 0: any")
    parser.add_argument("--metrics-port", type=int, default=9464, help="of the master's page; 0: any")
    parser.add_argument("--forever", action="store_true", help="run until Ctrl-C")
    parser.add_argument("workers", nargs="*", metavar="LANGUAGE=PROGRAM", help="workers that are no part of the server")
    arguments = parser.parse_args()
    arguments.seconds = 0.0 if arguments.forever else float(os.environ.get("DEMO_SECONDS", "20"))
    return arguments


def catch_signals() -> threading.Event:
    """The first Ctrl-C ends the load, and a second one the program; SIGTERM and SIGHUP still clean up."""
    interrupted = threading.Event()

    def on_interrupt(*_: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, on_interrupt)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("stopped"))
    return interrupted


def run(server: Server, load: Load, seconds: float, interrupted: threading.Event) -> None:
    screen = Screen()
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"
    start = now = time.monotonic()
    next_scrape = start + SCRAPE_SECONDS
    next_show, next_kill = max(next_scrape, start + screen.period), start + KILL_SECONDS[0]
    last_scrape, last_answered, per_second, page = start, 0, 0.0, Page("")
    while not interrupted.is_set() and (seconds == 0 or now < start + seconds):
        server.check()
        answered = sum(load.answered().values())
        if now >= next_kill:
            server.kill_one()
            next_kill = now + random.uniform(*KILL_SECONDS)
        if now >= next_scrape:
            page = Page(fetch(server.metrics_port)[0])
            per_second = (answered - last_answered) / (now - last_scrape)
            last_scrape, last_answered, next_scrape = now, answered, now + SCRAPE_SECONDS
        if now >= next_show:
            languages = {name: count for (name,), count in sorted(page.by("http_requests_total", "lang").items())}
            p95 = page.quantile("http_request_duration_seconds", 0.95)
            kills, cut_off = sum(server.kills.values()), sum(load.failed().values())
            screen.show(
                State(now - start, seconds, answered, per_second, languages, p95,
                      server.alive(), server.workers, kills, cut_off, url)
            )  # fmt: skip
            next_show = now + screen.period
        interrupted.wait(0.05)
        now = time.monotonic()


def wait_until_idle(server: Server) -> None:
    """An answer is out a moment before its worker has taken note of that."""
    deadline = time.monotonic() + WATCHDOG_SECONDS
    while any(Page(fetch(server.metrics_port)[0]).by("http_requests_in_progress", "lang").values()):
        if time.monotonic() > deadline:
            return  # the verdict names it
        time.sleep(0.02)


def render_by_cli(cli: str, segment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([cli, "render", segment], capture_output=True, text=True, timeout=WATCHDOG_SECONDS)


def collect_pages(server: Server, cli: str) -> dict[str, Page]:
    """The page as all of them see it: the master, the command, and a worker of each language."""
    pages = {"the master": Page(fetch(server.metrics_port)[0])}
    rendered = render_by_cli(cli, server.segment)
    if rendered.returncode != 0:
        raise Failure(f"shmetrics render: {rendered.stderr.strip()}")
    pages["shmetrics render"] = Page(rendered.stdout)
    missing = server.languages()
    deadline = time.monotonic() + WATCHDOG_SECONDS
    while missing:
        text, language = fetch(server.port)
        if language in missing:
            missing.remove(language)
            pages[f"a {language} worker"] = Page(text)
        if time.monotonic() > deadline:
            raise Failure(f"no worker of {missing} answered a scrape")
    return pages


def demo(arguments: argparse.Namespace, server: Server, interrupted: threading.Event) -> bool:
    load = Load(server.port, CLIENTS)
    server.wait_for_workers()
    print(f"serving on http://127.0.0.1:{server.port} and  curl http://127.0.0.1:{server.metrics_port}/metrics")
    print("one segment, workers in three languages, and about one of them killed every second", flush=True)
    load.start()
    run(server, load, arguments.seconds, interrupted)
    load.stop()
    server.wait_for_workers()
    wait_until_idle(server)
    pages = collect_pages(server, arguments.cli)
    verdict = judge(load, pages, sum(server.kills.values()), others_allowed=arguments.seconds == 0)
    verdict.problems += [f"{death}, {times} times" for death, times in server.deaths.items()]
    print(report(verdict, list(pages), server.kills), flush=True)
    return not verdict.problems


def main() -> int:
    arguments = parse_arguments()
    interrupted = catch_signals()
    segment = f"prefork-demo-{os.getpid()}"
    workers = WORKERS_PER_LANGUAGE * (1 + len(arguments.workers))
    ports = ["-p", str(arguments.port), "-m", str(arguments.metrics_port)]
    command = [arguments.server, *ports, "-n", str(WORKERS_PER_LANGUAGE), *arguments.workers]
    try:
        server = Server(command, segment, workers)
        try:
            right = demo(arguments, server, interrupted)
        finally:
            status = server.stop()
            left_behind = render_by_cli(arguments.cli, segment).returncode == 0
            if left_behind:
                subprocess.run([arguments.cli, "rm", "--force", segment], stdout=subprocess.DEVNULL, check=False)
        if status != 0 or left_behind:
            fate = "stayed" if left_behind else "is gone"
            raise Failure(f"the server ended with status {status}, and its segment {fate}")
    except (Failure, OSError) as failure:
        print(f"prefork demo: {failure}", file=sys.stderr)
        return 1
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
