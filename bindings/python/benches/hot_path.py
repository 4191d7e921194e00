"""What an update costs: prometheus_client as it is, single and multiprocess, against the drop-in
and the native metrics.

    python hot_path.py [rounds]

All four take turns, row by row and round by round; a row is processor time of one thread, the
median of the rounds and their spread. The loop around the call (about 10 ns) is in it. Ends with
the ratios that are promised.
"""

from __future__ import annotations

import sys
import time
import timeit
from statistics import median

from variants import DROPIN, MULTI, NATIVE, VARIANTS, Variant, answer, metrics, spread

# name: the statement, and how many times a round
ROWS = {
    "`Counter.inc()`": ("c.inc()", 200_000),
    "held child, `inc()`": ("child.inc()", 200_000),
    "`Counter.inc(0.5)`": ("c.inc(0.5)", 200_000),
    "`labels(a, b, c).inc()`": ("c3.labels(a, b, c_).inc()", 100_000),
    "`labels(4 keywords).inc()`": ("c4.labels(a=a, b=b, c=c_, d=d).inc()", 50_000),
    "`labels(new value).inc()`": ("new.labels(str(next(numbers))).inc()", 2_000),
    "`Histogram.observe()`, first bucket of 15": ("h.observe(0.001)", 100_000),
    "`Histogram.observe()`, eighth": ("h.observe(0.4)", 100_000),
    "`Summary.observe()`": ("s.observe(0.4)", 100_000),
    "`Gauge.set()`": ("g.set(3.5)", 200_000),
    "`Gauge.set()`, `mostrecent`": ("recent.set(3.5)", 100_000),
    "`Gauge.inc()`, `livesum`": ("live.inc()", 200_000),
    "`with track_inprogress()`": ("with live.track_inprogress(): pass", 50_000),
    "`with Histogram.time()`": ("with h.time(): pass", 50_000),
    "a request: two gauges, a counter and a histogram, by labels": ("request()", 20_000),
}
# The bars: variant, row, the largest share of multiprocess mode's time, and the nanoseconds if
# multiprocess mode takes 782.
BARS = [
    (DROPIN, "`Counter.inc()`", 150 / 782),
    (DROPIN, "`labels(a, b, c).inc()`", 0.65),
    (DROPIN, "`labels(4 keywords).inc()`", 0.3),
    (DROPIN, "`labels(new value).inc()`", 1.0),
    (NATIVE, "`Counter.inc()`", 60 / 782),
    (NATIVE, "`labels(a, b, c).inc()`", 200 / 1686),
    (NATIVE, "`labels(4 keywords).inc()`", 500 / 2311),
    (NATIVE, "`Histogram.observe()`, eighth", 90 / 1803),
]


def _namespace() -> dict:
    from itertools import count

    m = metrics()
    names = {
        "c": m.Counter("plain", "Plain."),
        "child": m.Counter("held", "Held.", ["a"]).labels("x"),
        "c3": m.Counter("three", "Three labels.", ["a", "b", "c"]),
        "c4": m.Counter("four", "Four labels.", ["a", "b", "c", "d"]),
        "new": m.Counter("new", "New values.", ["a"]),
        "h": m.Histogram("times_seconds", "Times."),
        "s": m.Summary("waits_seconds", "Waits."),
        "g": m.Gauge("set", "Set."),
        "recent": m.Gauge("recent", "Recent.", multiprocess_mode="mostrecent"),
        "live": m.Gauge("live", "Live.", multiprocess_mode="livesum"),
        "numbers": count(),
        "a": "GET",
        "b": "/items/<item>",
        "c_": "200",
        "d": "shop",
    }
    in_progress = m.Gauge("progress", "In progress.", ["app"], multiprocess_mode="livesum")
    requests = m.Counter("requests", "Requests.", ["app", "method", "endpoint", "status"])
    latency = m.Histogram("latency_seconds", "Latency.", ["app", "endpoint"])

    def request() -> None:
        in_progress.labels("shop").inc()
        requests.labels("shop", "GET", "/items/<item>", 200).inc()
        latency.labels("shop", "/items/<item>").observe(0.02)
        in_progress.labels("shop").dec()

    return names | {"request": request}


def _answer() -> None:
    names = _namespace()

    def measure(statement: str, times: int) -> float:
        return timeit.Timer(statement, globals=names, timer=time.thread_time).timeit(times) / times * 1e9

    answer({"measure": measure})


def main(rounds: int) -> int:
    variants = [Variant(name, __file__) for name in VARIANTS]
    found: dict[tuple[str, str], list[float]] = {}
    try:
        for statement, times in ROWS.values():
            for variant in variants:
                variant.ask("measure", statement, times // 10)  # warm
        for _ in range(rounds):
            for row, (statement, times) in ROWS.items():
                for variant in variants:
                    found.setdefault((variant.name, row), []).append(variant.ask("measure", statement, times))
    finally:
        for variant in variants:
            variant.close()

    def ratio(name: str, row: str) -> float:
        """Of medians of one run: the machine's noise is in both."""
        return median(found[name, row]) / median(found[MULTI, row])

    print("| ns, median (least..most) | single | multiprocess | drop-in | native | drop-in and native, of multiprocess |")
    print("|---|---|---|---|---|---|")
    for row in ROWS:
        cells = [spread(found[name, row]) for name in VARIANTS]
        print(f"| {row} | {' | '.join(cells)} | {ratio(DROPIN, row):.2f}, {ratio(NATIVE, row):.3f} |")
    print()
    missed = 0
    for name, row, most in BARS:
        got = ratio(name, row)
        missed += got > most
        print(f"{name} {row}: {got:.3f} of multiprocess, promised {most:.3f}: {'MISSED' if got > most else 'kept'}")
    return missed


if __name__ == "__main__":
    if "--answer" in sys.argv:
        _answer()
    else:
        sys.exit(bool(main(int(sys.argv[1]) if sys.argv[1:] else 9)))
