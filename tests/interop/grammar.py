"""OpenMetrics pages against a grammar, by the PyPI package `abnf`, which knows nothing of metrics."""

from __future__ import annotations

import functools
from pathlib import Path

from abnf import ParseError
from abnf.parser import Rule

_HERE = Path(__file__).resolve().parent


@functools.cache
def _grammar(version: str) -> type[Rule]:
    grammar = type(f"OpenMetrics_{version.replace('.', '_')}", (Rule,), {})
    grammar.load_grammar((_HERE / f"openmetrics-{version}.abnf").read_text())
    return grammar


def _parses(version: str, rule: str, text: str) -> bool:
    parser = _grammar(version)(rule)
    try:
        parser.parse_all(text)
    except ParseError:
        return False
    return True


def problems(page: bytes, version: str) -> list[str]:
    """Line by line, which takes less time than the whole: no rule but `exposition` goes over a line feed."""
    text = page.decode()
    lines, end, rest = text.rpartition("# EOF\n")
    if not end or rest or (lines and not lines.endswith("\n")):
        return ["the page does not end in # EOF"]
    wrong = [line for line in lines.split("\n")[:-1] if not _parses(version, "line", line + "\n")]
    return [f"no line of OpenMetrics {version}: {line!r}" for line in wrong]


def is_exposition(page: bytes, version: str) -> bool:
    """By the grammar's top rule: for short pages."""
    return _parses(version, "exposition", page.decode())
