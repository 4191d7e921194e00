"""Numbers as pages have them."""

from __future__ import annotations

from typing import Tuple, Union

from ._encode import number

INF = float("inf")
MINUS_INF = float("-inf")
NaN = float("NaN")


def floatToGoString(d: float) -> str:
    """A number as Go writes it."""
    return number(d)


def parse_version(version_str: str) -> "Tuple[Union[int, str], ...]":
    """``"1.0.0"`` as a tuple of numbers; parts that are none stay texts."""
    return tuple(int(part) if part.lstrip("+-").isdigit() else part for part in version_str.split("."))


__all__ = ["INF", "MINUS_INF", "NaN", "floatToGoString", "parse_version"]
