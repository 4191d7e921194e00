"""The tuples that collectors' families consist of, as in prometheus_client."""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Sequence, Union


class Timestamp:
    """A time as whole seconds and nanoseconds."""

    def __init__(self, sec: float, nsec: float) -> None:
        if not 0 <= nsec < 1e9:
            raise ValueError("Invalid value for nanoseconds in Timestamp: %s" % nsec)
        self.sec = int(sec)
        self.nsec = int(-nsec if sec < 0 else nsec)

    def _key(self) -> "tuple[int, int]":
        return self.sec, self.nsec

    def __str__(self) -> str:
        return "%d.%09d" % self._key()

    def __repr__(self) -> str:
        return "Timestamp(%d, %d)" % self._key()

    def __float__(self) -> float:
        return self.sec + self.nsec / 1e9

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and self._key() == other._key()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._key())

    def __gt__(self, other: "Timestamp") -> bool:
        return self._key() > other._key()

    def __lt__(self, other: "Timestamp") -> bool:
        return self._key() < other._key()


class BucketSpan(NamedTuple):
    """Consecutive native buckets that have observations."""

    offset: int
    length: int


class Exemplar(NamedTuple):
    """An exemplar of a counted event."""

    labels: Dict[str, str]
    value: float
    timestamp: Optional[Union[float, Timestamp]] = None


class NativeHistogram(NamedTuple):
    """The value of a native histogram."""

    count_value: float
    sum_value: float
    schema: int
    zero_threshold: float
    zero_count: float
    pos_spans: Optional[Sequence[BucketSpan]] = None
    neg_spans: Optional[Sequence[BucketSpan]] = None
    pos_deltas: Optional[Sequence[int]] = None
    neg_deltas: Optional[Sequence[int]] = None
    nh_exemplars: Optional[Sequence[Exemplar]] = None


class Sample(NamedTuple):
    """A line of a page."""

    name: str
    labels: Dict[str, str]
    value: float
    timestamp: Optional[Union[float, Timestamp]] = None
    exemplar: Optional[Exemplar] = None
    native_histogram: Optional[NativeHistogram] = None
