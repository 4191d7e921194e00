"""What a page costs, in how many files, and what a fork costs: prometheus_client multiprocess
against the drop-in and the native metrics.

    python render.py [--dead]

Each worker has the same 10,000 values: 60 % counters of four labels, 35 % of histograms, 5 %
livesum gauges. --dead has 640 dead workers leave theirs to prometheus_client, too, which takes
minutes and a gigabyte of disk; the others have them in any case. DEAD is another number.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from statistics import median

from variants import DROPIN, MULTI, NATIVE, Variant, answer, die_with_the_parent, metrics, page, spread

VALUES, WORKERS = 10_000, 64
DEAD = int(os.environ.get("DEAD", "640"))
PAGES = {MULTI: 3, DROPIN: 15, NATIVE: 15}
PROMISED_MS = 5.0
_workers: list[int] = []
_made: list = []


def _metrics() -> None:
    m = metrics()
    buckets = 33  # with the sum and +Inf 35 values
    _made.append(m.Counter("requests", "Requests.", ["app", "method", "endpoint", "status"]))
    _made.append(m.Histogram("times_seconds", "Times.", ["endpoint"], buckets=[i + 1 for i in range(buckets)]))
    _made.append(m.Gauge("busy", "Busy.", ["endpoint"], multiprocess_mode="livesum"))


def _work() -> None:
    counter, histogram, gauge = _made
    for i in range(VALUES * 60 // 100):
        counter.labels("shop", "GET", f"/items/{i}", "200").inc()
    for i in range(VALUES // 100):
        histogram.labels(f"/items/{i}").observe(i)
    for i in range(VALUES * 5 // 100):
        gauge.labels(f"/items/{i}").inc()


def _worker(then_dies: bool) -> int:
    done, report = os.pipe()
    child = os.fork()
    if child == 0:
        die_with_the_parent()
        _work()
        os.write(report, b"x")
        if not then_dies:
            signal.pause()
        os._exit(0)
    os.close(report)
    assert os.read(done, 1) == b"x"
    os.close(done)
    return child


def start(number: int) -> None:
    _workers.extend(_worker(False) for _ in range(number - len(_workers)))


def replace(number: int) -> None:
    """So many workers come, one after another, and die. What stock's are told of with
    mark_process_dead is done for it.
    """
    from prometheus_client.multiprocess import mark_process_dead

    for _ in range(number):
        child = _worker(True)
        os.waitpid(child, 0)
        if os.environ["VARIANT"] == MULTI:
            mark_process_dead(child)


def stop() -> None:
    for worker in _workers:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
    _workers.clear()


def render(times: int) -> list:
    """Milliseconds of processor time each, and the lines."""
    took = []
    for _ in range(times):
        begin = time.thread_time()
        shown = page()
        took.append((time.thread_time() - begin) * 1e3)
    lines = [line for line in shown.splitlines() if not line.startswith((b"#", b"shmetrics_"))]
    counted = sum(float(line.split()[-1]) for line in lines if line.startswith(b"requests_total"))
    return [took, len(lines), counted]


def fork(times: int) -> list:
    """Milliseconds of the first update in a child of a process that has all the values."""
    _work()
    took = []
    for _ in range(times):
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            begin = time.thread_time()
            _made[0].labels("shop", "GET", "/items/1", "200").inc()
            os.write(write, f"{(time.thread_time() - begin) * 1e3}".encode())
            os._exit(0)
        os.close(write)
        took.append(float(os.read(read, 100)))
        os.close(read)
        os.waitpid(child, 0)
    return took


def main(all_dead: bool) -> int:
    variants = {name: Variant(name, __file__) for name in (MULTI, DROPIN, NATIVE)}
    found: dict[str, dict[str, list[float]]] = {}
    notes, missed = [], 0

    def row(label: str, names: list[str], workers: int) -> None:
        nonlocal missed
        cells = {}
        for _ in range(3):  # taking turns
            for name in names:
                took, lines, counted = variants[name].ask("render", max(1, PAGES[name] // 3))
                cells.setdefault(name, []).extend(took)
                assert lines >= VALUES, f"{name}: {lines} lines"
                assert counted == VALUES * 60 // 100 * workers, f"{name}: {counted} counted by {workers} workers"
        found[label] = cells
        for name in (DROPIN, NATIVE):
            if median(cells[name]) > PROMISED_MS:
                missed += 1
                notes.append(f"MISSED: {name}, {label}: {median(cells[name]):.2f} ms, promised {PROMISED_MS}")

    try:
        names = list(variants)
        for name in names:
            variants[name].ask("start", 1)
        row("1 worker", names, 1)
        for name in names:
            variants[name].ask("start", WORKERS)
        row(f"{WORKERS} workers", names, WORKERS)
        files = {name: variants[name].files_made() for name in names}
        dying = names if all_dead else [DROPIN, NATIVE]
        for name in dying:
            variants[name].ask("replace", DEAD)
        row(f"{WORKERS} workers, after {DEAD} that died", dying, WORKERS + DEAD)
        if all_dead:
            files[MULTI] = variants[MULTI].files_made()
        for name in names:
            variants[name].ask("stop")
        forks = {name: variants[name].ask("fork", 5) for name in names}
    finally:
        for variant in variants.values():
            variant.close()

    print(f"| {VALUES:,} lines, ms, median (least..most) | multiprocess | drop-in | native |")
    print("|---|---|---|---|")
    for label, cells in found.items():
        print(f"| {label} | " + " | ".join(spread(cells[name], 2) if name in cells else "" for name in names) + " |")
    print("| files, MB on disk | " + " | ".join(f"{files[name][0]}, {files[name][1] / 1e6:.1f}" for name in names) + " |")
    print("| first update after a fork | " + " | ".join(spread(forks[name], 3) for name in names) + " |")
    print()
    print("\n".join(notes) or f"all pages of the drop-in and the native metrics in {PROMISED_MS} ms")
    return missed


if __name__ == "__main__":
    if "--answer" in sys.argv:
        _metrics()
        answer({f.__name__: f for f in (start, replace, stop, render, fork)})
    else:
        sys.exit(bool(main("--dead" in sys.argv)))
