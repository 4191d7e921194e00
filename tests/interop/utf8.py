"""Names in UTF-8: what pages make of them, by prometheus_client's own escaping."""

from __future__ import annotations

import re
from dataclasses import replace

from model import Registry, StateSet
from prometheus_client.openmetrics.exposition import escape_label_name, escape_metric_name

# As Content-Type names them; `allow-utf-8` is left to the parsers.
ESCAPINGS = ("underscores", "dots", "values", "allow-utf-8")


def metric(name: str, escaping: str) -> str:
    """Prometheus' own library leaves plain names alone in every scheme, prometheus_client not so with dots."""
    if escaping == "allow-utf-8" or re.fullmatch("[a-zA-Z_:][a-zA-Z0-9_:]*", name):
        return name
    return escape_metric_name(name, escaping)


def label(name: str, escaping: str) -> str:
    if escaping == "allow-utf-8" or re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name):
        return name
    return escape_label_name(name, escaping)


def escaped(model: Registry, escaping: str) -> Registry:
    """The model as a page with such names shows it. What is escaped is the name of a family with its suffix."""

    def labels(pairs: tuple) -> tuple:
        return tuple((label(name, escaping), value) for name, value in pairs)

    shown = Registry([], model.processes, labels(model.fixed))
    for family, series, overflow in zip(model.families, model._series, model._overflow):
        name = metric(family.shown_name, escaping)
        family = replace(family, name=name, labels=tuple(label(n, escaping) for n in family.labels))
        # A page has no unit that its name does not end in.
        family = replace(family, unit=family.unit if family.base_name.endswith("_" + family.unit) else "")
        for state in (*series.values(), overflow):
            if isinstance(state, StateSet):
                state.label = family.base_name
        shown.families.append(family)
        shown._series.append({labels(at): state for at, state in series.items()})
        shown._overflow.append(overflow)
    return shown


def of(content_type: str) -> str:
    """The escaping that a page has."""
    found = re.search(r"escaping=([a-z0-9-]+)", content_type)
    return found[1] if found else "underscores"
