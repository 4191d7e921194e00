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
    "a request with one label set: a counter, a histogram and a gauge up and down": ("one_set()", 20_000),
    "the same, from one look-up in a bundle": ("bundled()", 20_000),
}
# The second of them has native metrics alone.
SEPARATE, BUNDLED = list(ROWS)[-2:]
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
# The most that a bundle may take, as a part of the time of separate look-ups.
BUNDLE_BAR = 0.55


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

    labels = ["app", "method", "endpoint"]
    busy = m.Gauge("busy", "In progress.", labels, multiprocess_mode="livesum")
    served = m.Counter("served", "Requests.", labels)
    took = m.Histogram("took_seconds", "Latency.", labels)

    def one_set() -> None:
        busy.labels("shop", "GET", "/items/<item>").inc()
        served.labels("shop", "GET", "/items/<item>").inc()
        took.labels("shop", "GET", "/items/<item>").observe(0.02)
        busy.labels("shop", "GET", "/items/<item>").dec()

    return names | {"request": request, "one_set": one_set} | (_bundle(m, labels) if hasattr(m, "Bundle") else {})


def _bundle(m, labels: list[str]) -> dict:
    http = m.Bundle(
        labels,
        {
            "served": m.Bundle.counter("bundled_served", "Requests."),
            "took": m.Bundle.histogram("bundled_took_seconds", "Latency."),
            "busy": m.Bundle.gauge("bundled_busy", "In progress.", multiprocess_mode="livesum"),
        },
    )

    def bundled() -> None:
        entry = http.labels("shop", "GET", "/items/<item>")
        entry.busy.inc()
        entry.served.inc()
        entry.took.observe(0.02)
        entry.busy.dec()

    return {"bundled": bundled}


def _answer() -> None:
    names = _namespace()

    def measure(statement: str, times: int) -> float:
        return timeit.Timer(statement, globals=names, timer=time.thread_time).timeit(times) / times * 1e9

    answer({"measure": measure})


def main(rounds: int) -> int:
    variants = [Variant(name, __file__) for name in VARIANTS]
    found: dict[tuple[str, str], list[float]] = {}

    def of(row: str) -> list[Variant]:
        return [variant for variant in variants if variant.name == NATIVE or row != BUNDLED]

    try:
        for row, (statement, times) in ROWS.items():
            for variant in of(row):
                variant.ask("measure", statement, times // 10)  # warm
        for _ in range(rounds):
            for row, (statement, times) in ROWS.items():
                for variant in of(row):
                    found.setdefault((variant.name, row), []).append(variant.ask("measure", statement, times))
    finally:
        for variant in variants:
            variant.close()

    def ratio(name: str, row: str) -> float:
        """Of medians of one run: the machine's noise is in both."""
        return median(found[name, row]) / median(found[MULTI, row])

    print("| ns, median (least..most) | single | multiprocess | drop-in | native | drop-in and native, of multiprocess |")
    print("|---|---|---|---|---|---|")
    for row in [row for row in ROWS if row != BUNDLED]:
        cells = [spread(found[name, row]) for name in VARIANTS]
        print(f"| {row} | {' | '.join(cells)} | {ratio(DROPIN, row):.2f}, {ratio(NATIVE, row):.3f} |")
    print()
    print("| ns, native | median (least..most) | of separate look-ups |")
    print("|---|---|---|")
    # Round by round: both were measured within seconds.
    share = median(a / b for a, b in zip(found[NATIVE, BUNDLED], found[NATIVE, SEPARATE]))
    for row, of_separate in ((SEPARATE, 1.0), (BUNDLED, share)):
        print(f"| {row} | {spread(found[NATIVE, row])} | {of_separate:.2f} |")
    print()
    missed = int(share > BUNDLE_BAR)
    print(f"bundle: {share:.2f} of separate look-ups, promised {BUNDLE_BAR:.2f}: {'MISSED' if missed else 'kept'}")
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
