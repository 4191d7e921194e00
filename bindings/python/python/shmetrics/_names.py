"""Names of metrics and labels as pages show them. A plain name stays as it is under any escaping.
"""

from __future__ import annotations

import re
from typing import Set

UNDERSCORES = "underscores"
DOTS = "dots"
VALUES = "values"
ALLOWUTF8 = "allow-utf-8"

_SUFFIXES = {
    "counter": ("_total", "_created"),
    "summary": ("_sum", "_count", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "gaugehistogram": ("_bucket", "_gsum", "_gcount"),
    "info": ("_info",),
}
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")


def is_metric(name: str) -> bool:
    return _METRIC.match(name) is not None


def is_label(name: str) -> bool:
    return _LABEL.match(name) is not None


def _escaped(name: str, escaping: str, colon: bool) -> str:
    out = ["U__"] if escaping == VALUES else []
    for i, c in enumerate(name):
        plain = c in _PLAIN or ("0" <= c <= "9" and i > 0) or (colon and c == ":")
        if c == "_" and escaping != UNDERSCORES:
            out.append("__")
        elif c == "." and escaping == DOTS:
            out.append("_dot_")
        elif plain:
            out.append(c)
        elif escaping == VALUES:
            out.append("_%x_" % (0xFFFD if "\ud800" <= c <= "\udfff" else ord(c)))
        else:
            out.append("__" if escaping == DOTS else "_")
    return "".join(out)


def samples(family: str, kind: str) -> "Set[str]":
    """The names of samples that a family may have."""
    return {family, *(family + suffix for suffix in _SUFFIXES.get(kind, ()))}


def metric(name: str, escaping: str) -> str:
    """A metric's name, without quotes."""
    return name if escaping == ALLOWUTF8 or is_metric(name) else _escaped(name, escaping, True)


def label(name: str, escaping: str) -> str:
    """A label's name, without quotes."""
    return name if escaping == ALLOWUTF8 or is_label(name) else _escaped(name, escaping, False)


def text(value: str, quotes: bool = True) -> str:
    """A value of a label, or with ``quotes=False`` a help text."""
    value = value.replace("\\", r"\\").replace("\n", r"\n")
    return value.replace('"', r"\"") if quotes else value


def quoted(name: str, plain: bool) -> str:
    """A name on a line: in quotes unless it is plain."""
    return name if plain else '"%s"' % text(name)
