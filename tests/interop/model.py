"""What a segment's page must say, kept beside it in plain Python.

The values of the tests are dyadic fractions wherever several are added up, so that every sum is exact in every order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from prometheus_client.utils import floatToGoString

DEFAULT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
OVERFLOW = (("shmetrics_overflow", "true"),)

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, "int | float"]
Values = tuple["str | bytes", ...]


@dataclass
class Family:
    kind: str
    name: str
    help: str = ""
    labels: tuple[str, ...] = ()
    unit: str = ""
    mode: str = "shared"
    buckets: tuple[float, ...] | None = None
    max_series: int = 0

    @property
    def shown_name(self) -> str:
        return self.name + "_total" if self.kind == "counter" and not self.name.endswith("_total") else self.name

    @property
    def bounds(self) -> tuple[float, ...]:
        return tuple(b for b in (DEFAULT_BUCKETS if self.buckets is None else self.buckets) if b != math.inf)


@dataclass
class Process:
    identity: int
    alive: bool = True


class Counter:
    def __init__(self, _: Family) -> None:
        self.value = Fraction(0)
        self.whole = True

    def update(self, verb: str, amount: float = 1, **_: object) -> bool:
        if not 0 <= amount < math.inf:
            return False
        self.whole &= amount == int(amount)
        self.value += Fraction(amount)
        return True

    def samples(self, name: str, labels: Labels, _: list[Process]) -> list[Sample]:
        return [(name, labels, int(self.value) if self.whole else float(self.value))]


class Gauge:
    def __init__(self, family: Family) -> None:
        self.mode = family.mode
        self.cells: dict[int, float] = {}  # by process, in the order of their last update
        self.last: float | None = None

    def update(self, verb: str, amount: float = 1.0, *, process: int) -> bool:
        shared = self.mode in ("shared", "mostrecent")
        before = (self.last if shared else self.cells.get(process)) or 0.0
        self.last = {"set": amount, "add": before + amount, "inc": before + 1, "dec": before - 1}[verb]
        self.cells.pop(process, None)
        self.cells[process] = self.last
        return True

    def samples(self, name: str, labels: Labels, processes: list[Process]) -> list[Sample]:
        if self.mode == "shared":
            return [(name, labels, 0.0 if self.last is None else self.last)]
        if self.mode == "mostrecent":
            return [] if self.last is None else [(name, labels, self.last)]
        live = self.mode.startswith("live")
        mode = self.mode.removeprefix("live")
        cells = {p: v for p, v in self.cells.items() if processes[p].alive or not live}
        if mode == "all":
            each = sorted((processes[p].identity, v) for p, v in cells.items())
            return [(name, (*labels, ("pid", str(identity))), v) for identity, v in each]
        if mode == "sum":
            return [(name, labels, math.fsum(cells.values()))]
        if not cells:
            return []
        values = list(cells.values())
        return [(name, labels, {"min": min(values), "max": max(values), "mostrecent": values[-1]}[mode])]


class Histogram:
    def __init__(self, family: Family) -> None:
        self.bounds = family.bounds
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = Fraction(0)

    def update(self, verb: str, v: float, **_: object) -> bool:
        if math.isnan(v):
            return False
        self.counts[sum(b < v for b in self.bounds)] += 1
        self.sum += Fraction(v) if math.isfinite(v) else 0
        return True

    def samples(self, name: str, labels: Labels, _: list[Process]) -> list[Sample]:
        samples: list[Sample] = []
        total = 0
        for bound, count in zip((*self.bounds, math.inf), self.counts):
            total += count
            samples.append((f"{name}_bucket", (*labels, ("le", floatToGoString(bound))), total))
        return [*samples, (f"{name}_sum", labels, float(self.sum)), (f"{name}_count", labels, total)]


_STATES = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


@dataclass
class Registry:
    families: list[Family] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    rejected: int = 0
    refused: int = 0  # look-ups that were given the overflow series

    def __post_init__(self) -> None:
        self._series: list[dict[Labels, Counter | Gauge | Histogram]] = [{} for _ in self.families]
        self._overflow: list[Counter | Gauge | Histogram | None] = [None for _ in self.families]
        for i, family in enumerate(self.families):
            if not family.labels:
                self._series[i][()] = _STATES[family.kind](family)

    def series(self) -> int:
        return sum(map(len, self._series))

    def look_up(self, index: int, values: Values) -> Counter | Gauge | Histogram | None:
        """Also makes it, as the library does. None: the wrong number of values."""
        family, series = self.families[index], self._series[index]
        if len(values) != len(family.labels):
            self.rejected += 1
            return None
        shown = (v if isinstance(v, str) else v.decode(errors="replace") for v in values)
        labels = tuple(zip(family.labels, shown))
        if labels in series:
            return series[labels]
        if family.max_series and len(series) >= family.max_series:
            self.refused += 1
            if self._overflow[index] is None:
                self._overflow[index] = _STATES[family.kind](family)
            return self._overflow[index]
        return series.setdefault(labels, _STATES[family.kind](family))

    def update(self, process: int, index: int, values: Values, verb: str, *arguments: float) -> None:
        state = self.look_up(index, values)
        if state is not None and not state.update(verb, *arguments, process=process):
            self.rejected += 1

    def samples(self, index: int) -> list[Sample]:
        """Of a family, in the order of the page."""
        name = self.families[index].shown_name
        samples = [
            s for labels, state in self._series[index].items() for s in state.samples(name, labels, self.processes)
        ]
        overflow = self._overflow[index]
        return samples + (overflow.samples(name, OVERFLOW, self.processes) if overflow else [])
