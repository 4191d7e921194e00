"""Bounds of buckets by a rule."""

from __future__ import annotations

import math

import pytest
import shmetrics
from shmetrics import exponential_buckets, linear_buckets


def test_the_bounds():
    assert linear_buckets(10, 5, 4) == (10.0, 15.0, 20.0, 25.0)
    assert linear_buckets(-1, 0.5, 3) == (-1.0, -0.5, 0.0)
    assert exponential_buckets(0.5, 2, 4) == (0.5, 1.0, 2.0, 4.0)
    assert exponential_buckets(7, 2, 1) == (7.0,)
    assert all(isinstance(bound, float) for bound in linear_buckets(1, 1, 3) + exponential_buckets(1, 2, 3))


def test_the_bounds_are_those_of_a_histogram():
    segment = shmetrics.Segment(anonymous=True)
    shmetrics.Histogram("took_seconds", "", buckets=exponential_buckets(0.001, 2, 12), segment=segment).observe(0.003)
    page = segment.render().decode()
    assert page.count("took_seconds_bucket{") == 13
    assert 'le="0.002"} 0\n' in page and 'le="0.004"} 1\n' in page and 'le="2.048"} 1\n' in page


@pytest.mark.parametrize(
    "bounds",
    [
        lambda: linear_buckets(1, 0, 2),
        lambda: linear_buckets(1, -1, 2),
        lambda: linear_buckets(1, 1, 0),
        lambda: linear_buckets(1, 1, -1),
        lambda: linear_buckets(math.nan, 1, 2),
        lambda: linear_buckets(1, math.inf, 2),
        lambda: exponential_buckets(1, 1, 2),
        lambda: exponential_buckets(0, 2, 2),
        lambda: exponential_buckets(-1, 2, 2),
        lambda: exponential_buckets(1e300, 1e10, 3),
        lambda: exponential_buckets(1, 2, 0),
    ],
)
def test_bounds_that_do_not_rise_are_errors(bounds):
    with pytest.raises(ValueError, match="bounds"):
        bounds()
