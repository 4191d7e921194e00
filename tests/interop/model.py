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

_SUFFIXES = {"counter": "_total", "info": "_info"}
_TEXT_TYPES = {
    "unknown": "untyped", "gauge_histogram": "histogram", "info": "gauge", "state_set": "gauge", "enum": "gauge",
}  # fmt: skip

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, "int | float"]
Values = tuple["str | bytes", ...]


def canonical(bound: float) -> str:
    """As OpenMetrics wants it. prometheus_client's function takes a sign for a digit. -0 is 0."""
    bound += 0.0
    return ("-" if math.copysign(1, bound) < 0 else "") + floatToGoString(abs(bound))


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
    states: tuple[str, ...] = ()
    factor: float = 0.0  # of native buckets, 0 for none
    zero: float = 0.0  # their threshold, as C has it
    most: int = 0
    quantiles: tuple[float, ...] = ()

    @property
    def base_name(self) -> str:
        return self.name.removesuffix(_SUFFIXES.get(self.kind, ""))

    @property
    def shown_name(self) -> str:
        """On all pages but those of OpenMetrics 1.0.0, which have the base name."""
        return self.base_name + _SUFFIXES.get(self.kind, "")

    @property
    def text_type(self) -> str:
        """What the text formats, which have five types, show of it."""
        return _TEXT_TYPES.get(self.kind, self.kind)

    @property
    def bounds(self) -> tuple[float, ...]:
        default = () if self.factor else DEFAULT_BUCKETS
        return tuple(b for b in (default if self.buckets is None else self.buckets) if b != math.inf)


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


def native_index(size: float, schema: int) -> int:
    """The smallest i with size <= 2 ** (i / 2 ** schema), in whole numbers."""
    if size == math.inf:
        return native_index(1.7976931348623157e308, schema) + 1
    exact = Fraction(size) ** 2 ** max(schema, 0)
    index = exact.numerator.bit_length() - exact.denominator.bit_length() - 1
    while exact > Fraction(2) ** index:
        index += 1
    return -(-index // 2**-schema) if schema < 0 else index


class Native:
    """The native buckets of a histogram, by sign and index."""

    def __init__(self, family: Family) -> None:
        # The coarsest one that grows by no more than the factor.
        self.schema = next((n for n in range(-4, 8) if 2 ** 2**-n <= family.factor), 8)
        self.threshold = family.zero or 2**-128 if family.zero >= 0 else 0.0
        self.most = family.most or 160
        self.zero = 0
        self.buckets: dict[tuple[int, int], int] = {}

    def take(self, v: float, by: int) -> None:
        if abs(v) <= self.threshold:
            self.zero += by
        else:
            at = (-1 if v < 0 else 1, native_index(abs(v), self.schema))
            self.buckets[at] = self.buckets.get(at, 0) + by

    def count(self, v: float) -> int:
        if abs(v) <= self.threshold:
            return self.zero
        return self.buckets.get((-1 if v < 0 else 1, native_index(abs(v), self.schema)), 0)

    def samples(self, name: str, labels: Labels) -> list[Sample]:
        schema, threshold, zero = self.schema, self.threshold, self.zero
        buckets = {at: n for at, n in self.buckets.items() if n}
        while len(buckets) > self.most and schema > -4:
            schema, coarser = schema - 1, {}
            for (sign, index), n in buckets.items():
                at = (sign, math.ceil(index / 2))
                coarser[at] = coarser.get(at, 0) + n
            buckets = coarser
        while len(buckets) > self.most:
            nearest = min(index for _, index in buckets)
            threshold = max(threshold, min(2.0 ** (nearest * 16) if nearest < 64 else math.inf, 1.7976931348623157e308))
            zero += sum(buckets.pop((sign, nearest), 0) for sign in (-1, 1))
        about = {"schema": schema, "zero_threshold": threshold, "zero_count": zero}
        each = [(f"{name}!{what}", labels, value) for what, value in about.items()]
        names = {-1: "negative", 1: "positive"}
        return each + [(f"{name}!{names[sign]}", (*labels, ("index", str(i))), n) for (sign, i), n in buckets.items()]


class Histogram:
    def __init__(self, family: Family) -> None:
        self.native = Native(family) if family.factor else None
        self.bounds = family.bounds
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = Fraction(0)
        # Whether a value below 0 was ever observed.
        self.negative = False

    def update(self, verb: str, v: float, **_: object) -> bool:
        if math.isnan(v):
            return False
        self.negative = self.negative or v < 0
        self.counts[sum(b < v for b in self.bounds)] += 1
        self.sum += Fraction(v) if math.isfinite(v) else 0
        if self.native:
            self.native.take(v, 1)
        return True

    def samples(self, name: str, labels: Labels, _: list[Process]) -> list[Sample]:
        samples: list[Sample] = []
        total = 0
        for bound, count in zip((*self.bounds, math.inf), self.counts):
            total += count
            samples.append((f"{name}_bucket", (*labels, ("le", canonical(bound))), total))
        return [*samples, (f"{name}_sum", labels, float(self.sum)), (f"{name}_count", labels, total)]


class GaugeHistogram(Histogram):
    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self._pairs: dict[tuple, int] = {}

    def _pair(self, v: float) -> tuple:
        """What has a count of its own: what is in one classic and one native bucket."""
        zero = abs(v) <= self.native.threshold
        where = 0 if zero else (math.copysign(1, v), native_index(abs(v), self.native.schema))
        return where, sum(b < v for b in self.bounds)

    def _has(self, v: float) -> bool:
        return self._pairs.get(self._pair(v), 0) > 0

    def update(self, verb: str, v: float, **_: object) -> bool:
        if verb == "observe" or math.isnan(v):
            if self.native and not math.isnan(v):
                self._pairs[self._pair(v)] = self._pairs.get(self._pair(v), 0) + 1
            return super().update(verb, v)
        bucket = sum(b < v for b in self.bounds)
        if self.native and not self._has(v):
            return False
        if not self.counts[bucket]:
            return False
        if self.native:
            self.native.take(v, -1)
            self._pairs[self._pair(v)] -= 1
        self.counts[bucket] -= 1
        self.sum -= Fraction(v) if math.isfinite(v) else 0
        return True


class Summary(Histogram):
    def __init__(self, family: Family) -> None:
        self.bounds, self.counts, self.sum, self.native, self.negative = (), [0], Fraction(0), None, False
        self.quantiles, self.observed = family.quantiles, []

    def update(self, verb: str, v: float, **_: object) -> bool:
        if not math.isnan(v):
            self.observed.append(0.0 if abs(v) <= 2**-128 else v)
        return super().update(verb, v)

    def samples(self, name: str, labels: Labels, processes: list[Process]) -> list[Sample]:
        """Quantiles are exact here. The tests take less time than an observation counts in quantiles."""
        ranked = sorted(self.observed)
        exact = [ranked[max(math.ceil(q * len(ranked)), 1) - 1] if ranked else math.nan for q in self.quantiles]
        quantiles = [(name, (*labels, ("quantile", canonical(q))), v) for q, v in zip(self.quantiles, exact)]
        return quantiles + super().samples(name, labels, processes)[1:]


class Info:
    def __init__(self, _: Family) -> None:
        pass

    def samples(self, name: str, labels: Labels, _: list[Process]) -> list[Sample]:
        return [(name, labels, 1)]


class StateSet:
    def __init__(self, family: Family) -> None:
        self.label, self.states = family.base_name, family.states
        self.on = [False] * len(self.states)

    def update(self, verb: str, state: int, on: bool, **_: object) -> bool:
        if state >= len(self.states):
            return False
        self.on[state] = on
        return True

    def samples(self, name: str, labels: Labels, _: list[Process]) -> list[Sample]:
        return [(name, (*labels, (self.label, state)), int(on)) for state, on in zip(self.states, self.on)]


class Enum(StateSet):
    def __init__(self, family: Family) -> None:
        super().__init__(family)
        self.on[0] = True

    def update(self, verb: str, state: int, **_: object) -> bool:  # type: ignore[override]
        if state >= len(self.states):
            return False
        self.on = [i == state for i in range(len(self.states))]
        return True


_STATES = {
    "counter": Counter,
    "gauge": Gauge,
    "unknown": Gauge,
    "histogram": Histogram,
    "gauge_histogram": GaugeHistogram,
    "summary": Summary,
    "info": Info,
    "state_set": StateSet,
    "enum": Enum,
}
State = Counter | Gauge | Histogram | Info | StateSet


@dataclass
class Registry:
    families: list[Family] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    fixed: Labels = ()  # of the segment, in front of all others
    rejected: int = 0
    refused: int = 0  # look-ups that were given the overflow series
    # the series are no more on the page in the order of their first look-up
    reordered: bool = False

    def __post_init__(self) -> None:
        self._series: list[dict[Labels, State]] = [{} for _ in self.families]
        self._overflow: list[State | None] = [None for _ in self.families]
        for i, family in enumerate(self.families):
            if not family.labels:
                self._series[i][()] = _STATES[family.kind](family)

    def series(self) -> int:
        return sum(map(len, self._series))

    @staticmethod
    def _labels(family: Family, values: Values) -> Labels:
        return tuple(zip(family.labels, (v if isinstance(v, str) else v.decode(errors="replace") for v in values)))

    def look_up(self, index: int, values: Values) -> State | None:
        """Also makes it, as the library does. None: the wrong number of values."""
        family, series = self.families[index], self._series[index]
        if len(values) != len(family.labels):
            self.rejected += 1
            return None
        labels = self._labels(family, values)
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

    def remove(self, index: int, values: Values) -> bool:
        self.reordered = True
        return self._series[index].pop(self._labels(self.families[index], values), None) is not None

    def samples(self, index: int) -> list[Sample]:
        """Of a family, in the order of a text page."""
        family = self.families[index]
        return [s for labels, state in self.states(index) for s in state.samples(family.shown_name, labels, self.processes)]

    def states(self, index: int) -> list[tuple[Labels, State]]:
        series = [(self.fixed + labels, state) for labels, state in self._series[index].items()]
        overflow = self._overflow[index]
        return series + ([(self.fixed + OVERFLOW, overflow)] if overflow else [])
