"""One form for what a page says, whatever its format, and what a model says of it.

Samples have the names that text 0.0.4 gives them; labels are sets without empty ones; bounds are numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from model import Histogram, Registry, Summary
from oracles import same_sample

Key = tuple[str, frozenset]

OPENMETRICS_TYPES = {
    "gauge_histogram": "gaugehistogram", "state_set": "stateset", "enum": "stateset",
}  # fmt: skip
PROTOBUF_TYPES = {
    "unknown": "UNTYPED", "info": "GAUGE", "state_set": "GAUGE", "enum": "GAUGE",
}  # fmt: skip
WITH_CREATED = ("counter", "histogram", "summary")
WITH_NATIVE = ("openmetrics2", "protobuf")


def key(name: str, labels: Iterable[tuple[str, str]]) -> Key:
    pairs = [(k, str(float(v) + 0.0) if k in ("le", "quantile") else v) for k, v in labels if v != ""]
    if len({k for k, _ in pairs}) != len(pairs):
        raise ValueError(f"{name} has a label twice: {pairs}")
    return name, frozenset(pairs)


@dataclass
class Normal:
    samples: dict[Key, float] = field(default_factory=dict)
    created: dict[Key, float] = field(default_factory=dict)  # by the family's base name, in seconds
    # type, help and, where the format has it, unit
    families: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, name: str, labels: Iterable[tuple[str, str]], value: float) -> None:
        at = key(name, labels)
        if at in self.samples:
            raise ValueError(f"{name}{dict(at[1])} is there twice")
        self.samples[at] = float(value)

    def add_created(self, name: str, labels: Iterable[tuple[str, str]], value: float) -> None:
        at = key(name, labels)
        if at in self.created:
            raise ValueError(f"the start of {name}{dict(at[1])} is there twice")
        self.created[at] = value

    def add_family(self, name: str, *about: str) -> None:
        if name in self.families:
            raise ValueError(f"the family {name} is there twice")
        self.families[name] = about

    def classic(self) -> Normal:
        """Without native buckets, for formats that have none."""
        return Normal({k: v for k, v in self.samples.items() if "!" not in k[0]}, self.created, self.families)

    def without(self, prefix: str) -> Normal:
        return Normal(
            {k: v for k, v in self.samples.items() if not k[0].startswith(prefix)},
            {k: v for k, v in self.created.items() if not k[0].startswith(prefix)},
            {k: v for k, v in self.families.items() if not k.startswith(prefix)},
        )


def expected(model: Registry, format: str, created: bool = False) -> Normal:
    """What a page in this format has to say, but for the time of each start, which is 0."""
    normal = Normal()
    for index, family in enumerate(model.families):
        series = model.states(index)
        help_text = family.help.replace("\r", " ") if format != "protobuf" else family.help
        if format in ("text", "text1"):
            normal.add_family(family.shown_name, family.text_type, help_text.strip())
        elif format == "protobuf":
            if model.samples(index):  # a family without metrics is not on the page
                kind = PROTOBUF_TYPES.get(family.kind, family.kind.upper())
                normal.add_family(family.shown_name, kind, help_text, family.unit)
        else:
            name = family.base_name if format == "openmetrics" else family.shown_name
            normal.add_family(name, OPENMETRICS_TYPES.get(family.kind, family.kind), help_text, family.unit)
        for labels, state in series:
            for name, at, value in state.samples(family.shown_name, labels, model.processes):
                if not (format == "openmetrics" and isinstance(state, Histogram) and _left_out(state, family, name, value)):
                    normal.add(name, at, value)
            if isinstance(state, Histogram) and state.native and format in WITH_NATIVE:
                for name, at, value in state.native.samples(family.shown_name, labels):
                    normal.add(name, at, value)
            if family.kind in WITH_CREATED and (created or format in ("openmetrics2", "protobuf")):
                normal.add_created(family.base_name, labels, 0.0)
    return normal


def _left_out(state: Histogram, family, name: str, value: float) -> bool:
    """OpenMetrics 1.0.0 has no sum that may fall, no count of a histogram without its sum, and no quantile below 0."""
    suffix = name.removeprefix(family.shown_name)
    if not suffix:
        return value < 0
    if suffix not in ("_sum", "_count") or not (state.negative or any(b < 0 for b in state.bounds)):
        return False
    return suffix == "_sum" or not isinstance(state, Summary)


def differences(expected: Normal, found: Normal) -> list[str]:
    problems = []
    for what in ("families", "samples", "created"):
        a, b = getattr(expected, what), getattr(found, what)
        problems += [f"{what}: {k} should be there" for k in a.keys() - b.keys()]
        problems += [f"{what}: {k} should not be there" for k in b.keys() - a.keys()]
        if what != "created":  # only the library knows when
            same = (lambda k, x, y: same_sample(k[1], x, y)) if what == "samples" else lambda _, x, y: x == y
            problems += [f"{k} should be {a[k]}, and is {b[k]}" for k in a.keys() & b.keys() if not same(k, a[k], b[k])]
    return problems
