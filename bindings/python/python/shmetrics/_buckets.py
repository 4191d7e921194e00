"""Bounds of buckets by a rule, for ``Histogram(buckets=...)``."""

from __future__ import annotations

import math
from typing import Iterable, Tuple


def linear_buckets(start: float, width: float, count: int) -> "Tuple[float, ...]":
    """Returns the bounds ``start``, ``start + width`` and so on: ``count`` of them.

    ValueError: the bounds would not rise, or would not be finite.
    """
    return _rising(start + width * i for i in range(count))


def exponential_buckets(start: float, factor: float, count: int) -> "Tuple[float, ...]":
    """Returns the bound ``start``, and bounds that are ``factor`` times the one before: ``count`` of
    them.

    ValueError: the bounds would not rise, or would not be finite.
    """
    bounds = []
    bound = float(start)
    for _ in range(count):
        bounds.append(bound)
        bound *= factor
    return _rising(bounds)


def _rising(numbers: "Iterable[float]") -> "Tuple[float, ...]":
    bounds = tuple(float(number) for number in numbers)
    if not bounds:
        raise ValueError("no bounds: give a count of at least 1")
    before = -math.inf
    for i, bound in enumerate(bounds):
        if not math.isfinite(bound) or bound <= before:
            raise ValueError("bound %d would be %r, after %r: bounds are finite and rise" % (i, bound, before))
        before = bound
    return bounds
