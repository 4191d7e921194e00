#!/usr/bin/env python3
"""Python's prometheus_client in its multiprocess mode, for the benchmarks.

`serve CPU` updates by order, as external.rs says.
`workers DEAD...` prints what a page costs with 1 to 64 living workers, and after so many dead ones.
`memory SERIES` prints the bytes of files and of heap that a series takes in one process.
"""

import json
import os
import random
import resource
import sys
import time


def labels(i):
    return (f"method{i % 10:04}", f"/p/{i:07}", f"status{i % 7:04}")


LATE = 50_000  # nanoseconds, as in external.rs
LABELS = ("methodname", "pathpathpa", "statuscode")
BOUNDS = tuple(range(1, 15))


def works():
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

    registry = CollectorRegistry()
    held = Counter("held", "Held.", registry=registry)
    family = Counter("http_requests", "Requests.", LABELS, registry=registry)
    histogram = Histogram("observed", "Observed.", buckets=BOUNDS, registry=registry)
    gauge = Gauge("gauge", "Gauge.", registry=registry, multiprocess_mode="livesum")
    chance = random.Random(5)
    sets = [labels(chance.randrange(100)) for _ in range(128)]
    values = [chance.randrange(15) + 0.5 for _ in range(128)]

    def inc():
        for _ in range(128):
            held.inc()

    def lookup():
        for values in sets:
            family.labels(*values).inc()

    def observe():
        for value in values:
            histogram.observe(value)

    def gauge_set():
        for value in values:
            gauge.set(value)

    def gauge_inc():
        for _ in range(128):
            gauge.inc()

    return {work.__name__: work for work in (inc, lookup, observe, gauge_set, gauge_inc)}


def serve(cpu):
    os.sched_setaffinity(0, {cpu})
    known = works()
    for line in sys.stdin:
        row, start, duration = line.split()
        work, done, start = known[row], 0, int(start)
        while time.monotonic_ns() < start:
            pass
        preempted = lambda: resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw
        before, began, processor = preempted(), time.monotonic_ns(), time.thread_time_ns()
        while time.monotonic_ns() < began + int(duration):
            work()
            done += 128
        processor, wall = time.thread_time_ns() - processor, time.monotonic_ns() - began
        undisturbed = preempted() == before
        print(done, wall if undisturbed else processor, int(undisturbed and began < start + LATE), flush=True)


def fork(body):
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return pid


def pages(samples):
    """Microseconds for a page, of all files there are."""
    from prometheus_client import CollectorRegistry, generate_latest, multiprocess

    times = []
    for _ in range(samples):
        start = time.thread_time_ns()
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        generate_latest(registry)
        times.append((time.thread_time_ns() - start) / 1e3)
    return sorted(times)


def spread(times):
    at = lambda q: times[round((len(times) - 1) * q)]
    return {"median": at(0.5), "q1": at(0.25), "q3": at(0.75), "min": times[0], "max": times[-1], "n": len(times)}


def workers(deaths):
    """The same application as in workers.rs."""
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, multiprocess

    registry = CollectorRegistry()
    counters = Counter("http_requests", "Requests.", LABELS, registry=registry)
    histograms = Histogram("http_request_seconds", "Time.", LABELS, buckets=BOUNDS, registry=registry)
    gauges = [Gauge(f"busy_{i}", "Busy.", registry=registry, multiprocess_mode="livesum") for i in range(3)]

    def work():
        for i in range(100):
            counters.labels(*labels(i)).inc()
        for i in range(10):
            histograms.labels(*labels(i)).observe(7.5)
        for gauge in gauges:
            gauge.inc()

    living, pids = [], []
    for processes in (1, 2, 4, 8, 16, 32, 64):
        while len(pids) < processes:
            ready, done = os.pipe()

            def live():
                work()
                os.write(done, b".")
                time.sleep(3600)

            pids.append(fork(live))
            os.read(ready, 1)
            os.close(ready), os.close(done)
        living.append({"processes": processes, "us": spread(pages(5))})
    for pid in pids:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    # The next round begins without files.
    for name in os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"]):
        os.remove(os.path.join(os.environ["PROMETHEUS_MULTIPROC_DIR"], name))
    dead, died = [], 0
    for deaths in map(int, deaths):
        while died < deaths:
            pid = fork(work)
            os.waitpid(pid, 0)
            multiprocess.mark_process_dead(pid)
            died += 1
        dead.append({"processes": deaths, "us": spread(pages(3))})
    print(json.dumps({"living": living, "dead": dead}))


def memory(series):
    """What the kernel holds for the files, and what Python's allocator has given out."""
    import tracemalloc

    from prometheus_client import CollectorRegistry, Counter

    counters = Counter("http_requests", "Requests.", LABELS, registry=CollectorRegistry())
    counters.labels(*labels(series)).inc()
    directory = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    files = lambda: sum(os.stat(os.path.join(directory, name)).st_blocks * 512 for name in os.listdir(directory))
    before = files()
    tracemalloc.start()
    for i in range(series):
        counters.labels(*labels(i)).inc()
    heap, _ = tracemalloc.get_traced_memory()
    print(json.dumps({"series": series, "file_bytes": (files() - before) / series, "heap_bytes": heap / series}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", cpu]:
            serve(int(cpu))
        case ["workers", *deaths]:
            workers(deaths)
        case ["memory", series]:
            memory(int(series))
        case _:
            sys.exit(__doc__)
