"""Random registries: every type, every gauge mode, hostile texts, several processes that may die."""

from __future__ import annotations

import math
import random

import shm
from model import Family
from play import Script

NAMES = ("requests", "bytes_sent", "cacheHits", "queue:depth", "_hidden", "jobs2", "temperature", "x", "worker_loops")
LABELS = ("method", "path", "status", "_private", "userAgent", "x9", "quantile_")
# Names that scrapers before Prometheus 3 cannot read. No two are alike, however they are escaped,
# and no label begins with two characters that become underscores: `__` in front of a label is what
# prometheus_client refuses.
ODD_NAMES = ("http.requests", "größe", "a b", 'q"uo\\te', "k8s/pod-ready", "{x}", "日本", "1st", "x.y:z", "# EOF", "plain")
ODD_LABELS = ("k8s.pod", "größe", "a b", "method", 'q"\\', "x:y", "status.code", "_private", "x日", "a=,")
ODD_SEGMENT_LABELS = ("service.name", "app", "host-id")
PIECES = (
    "a", "GET", "/index.html", "0", " ", "\\", '"', "\n", "\\n", '\\"', "{", "}", ",", "=", '",le="', "#", "# TYPE a b",
    "é", "ß", "日本", "🦀", "e\u0301", "\u202e", "\u2028", "\x85", "\x00", "\t", "\r", "\x7f", "\ufeff", "\ufffd",
)  # fmt: skip
HELPS = (
    "",
    "Requests served.",
    'In "quotes", 100 % \\ done.\nSecond line',
    "日本語 🦀",
    "trailing backslash \\",
    "tab\there",
    "carriage\rreturn, \u2028 and \x00",
)
DYADIC = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 3.0, 42.0, 1024.0, 1e6)
GAUGES = (*DYADIC, -0.5, -7.0, -1e6)
LONE = (
    *GAUGES,
    -0.0,
    5e-324,
    2.2250738585072014e-308,
    1e-9,
    0.1,
    1e21,
    1.7976931348623157e308,
    math.inf,
    -math.inf,
    math.nan,
)
SEGMENT_LABELS = ("app", "zone", "_cell", "instance_name")
STATES = (("on",), ("closed", "open"), ("a", 'b"c', "d\\e", "f\ng", "日本"), tuple(f"s{i}" for i in range(64)))
# Over several, as often as they should come.
KINDS = (
    *("counter", "gauge", "histogram") * 3,
    *("unknown", "gauge_histogram", "summary", "info", "state_set", "enum"),
)
OBSERVED = (*GAUGES, 0.78125, 1.03125, 3.5, -0.53125, 0.03125, 3 * 2.0**20, math.inf, -math.inf, math.nan)
BUCKETS = (
    None,
    (),
    (0.5,),
    (-1.0, 0.0, 1.0),
    (0.001, 1.0, 1e6, 1e21),
    (-1e6, -0.5),
    (-0.0, 5e-324, 1.7976931348623157e308),
    tuple(i / 8 for i in range(1, 70)),
    (1.0, math.inf),
)


NATIVE = (
    *({},) * 3,
    {"factor": 1.1},
    {"factor": 2.0, "zero": -1.0},
    {"factor": 1.0001, "most": 5},
    {"factor": 1e9, "zero": 0.5, "most": 3},
    {"factor": 1.5, "most": 1},
)


def is_label(name: str) -> bool:
    """Whether a state set may be called so, and prometheus_client reads it as the label that it is then."""
    return ":" not in name and name[0].isascii() and (name[0].isalpha() or name[0] == "_")


def random_text(rng: random.Random) -> str:
    return "".join(rng.choices(PIECES, k=rng.choice((0, 1, 1, 2, 3, 8))))


def random_family(rng: random.Random, number: int, names: tuple[str, ...], labels: tuple[str, ...]) -> Family:
    kind = rng.choice(KINDS)
    stateful = kind in ("state_set", "enum")
    unit = "" if stateful or kind == "info" else rng.choice(("", "", "seconds", "bytes"))
    name = f"{rng.choice([n for n in names if not stateful or is_label(n)])}_{number}" + (f"_{unit}" if unit else "")
    suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
    return Family(
        kind,
        name + (suffix if rng.random() < 0.5 and not unit else ""),
        rng.choice(HELPS),
        tuple(rng.sample(labels, rng.choice((0, 1, 1, 2, 3)))),
        unit=unit,
        mode=rng.choice(shm.GAUGE_MODES) if kind == "gauge" else "shared",
        buckets=rng.choice(BUCKETS) if kind.endswith("histogram") else None,
        max_series=rng.choice((0, 0, 0, 2)),
        quantiles=rng.choice(((), (0.5,), (0.0, 0.25, 0.99, 1.0))) if kind == "summary" else (),
        **(rng.choice(NATIVE) if kind.endswith("histogram") else {}),
        states=rng.choice(STATES) if stateful else (),
    )


def _update(rng: random.Random, family: Family, workers: int) -> tuple:
    if family.kind == "counter":
        verb = rng.choice(("inc", "add", "add_u64"))
        amount = {"inc": (), "add": (*DYADIC, -1.0, math.nan, math.inf), "add_u64": (0, 1, 1 << 20)}[verb]
    elif family.kind in ("gauge", "unknown"):
        verb = rng.choice(("set", "set", "add", "inc", "dec"))
        lone = verb == "set" and family.mode in ("shared", "all", "liveall") and workers == 1
        amount = () if verb in ("inc", "dec") else LONE if lone else GAUGES
    elif family.kind in ("state_set", "enum"):
        state = rng.randrange(len(family.states) + (rng.random() < 0.1))
        return ("set", state, rng.random() < 0.6) if family.kind == "state_set" else ("set", state)
    else:
        verb = "forget" if family.kind == "gauge_histogram" and rng.random() < 0.3 else "observe"
        amount = OBSERVED
    return (verb, rng.choice(amount)) if amount else (verb,)


def random_script(seed: int, families: int = 0, processes: int = 0, odd: bool = False) -> Script:
    """The numbers are random as well, unless they are given. `odd`: with names that need quotes."""
    rng = random.Random(seed)
    texts = (ODD_NAMES, ODD_LABELS) if odd else (NAMES, LABELS)
    script = Script([random_family(rng, i, *texts) for i in range(families or rng.randrange(1, 9))])
    if rng.random() < 0.3:
        names = rng.sample(ODD_SEGMENT_LABELS if odd else SEGMENT_LABELS, rng.choice((1, 1, 2)))
        script.fixed = tuple((name, random_text(rng)) for name in names)
    processes = processes or rng.choice((1, 1, 2, 4))
    for i in range(1, processes):
        script.start(rng.choice((0, 10 + i)))
    for index, family in enumerate(script.families):
        label_sets = [tuple(random_text(rng) for _ in family.labels) for _ in range(rng.randrange(1, 6))]
        for values in label_sets:
            if rng.random() < 0.3:
                script.look_up(index, *values)
        for _ in range(rng.randrange(12)):
            values = rng.choice(label_sets)
            if family.labels and rng.random() < 0.05:
                script.remove(index, *values)
            if family.kind == "info":
                script.look_up(index, *values)
            else:
                script.update(rng.randrange(processes), index, values, *_update(rng, family, processes))
    for i in range(1, processes):
        if rng.random() < 0.5:
            script.end(i, rng.choice(("kill", "exit")))
    return script
