"""prometheus_client's value class: values in shared memory."""

from __future__ import annotations

import functools
import os
from typing import Any, Callable, Dict, Optional, Tuple

from .._native import ValueFamily
from .._segment import warn
from .segments import OpenSegment, open_for_values


def _factor() -> Optional[float]:
    """The growth of native buckets, beside the classic ones. prometheus_client has no argument for
    it.
    """
    text = os.environ.get("SHMETRICS_NATIVE_FACTOR")
    if not text:
        return None
    try:
        factor = float(text)
        if factor > 1:
            return factor
    except ValueError:
        pass
    warn("SHMETRICS_NATIVE_FACTOR=%s: give a number greater than 1, such as 1.1" % text)
    return None


native_factor = _factor()


def is_wanted() -> bool:
    """Whether this process is in multiprocess mode."""
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ or "prometheus_multiproc_dir" in os.environ


def patch(values: Any, late: bool) -> None:
    """Patches the module prometheus_client.values."""
    original = values.MultiProcessValue
    if hasattr(original, "_shmetrics_original"):
        return
    in_process = values.MutexValue

    @functools.wraps(original)
    def MultiProcessValue(process_identifier: Callable[[], Any] = os.getpid) -> Any:
        return make_value_class(process_identifier, in_process)

    MultiProcessValue._shmetrics_original = original  # type: ignore[attr-defined]

    @functools.wraps(values.get_value_class)
    def get_value_class() -> Any:
        return MultiProcessValue() if is_wanted() else in_process

    values.MultiProcessValue = MultiProcessValue
    values.get_value_class = get_value_class
    if not late:
        values.ValueClass = get_value_class()


def make_value_class(process_identifier: Callable[[], Any], in_process: Any) -> Any:
    """A value class of prometheus_client: calling it makes a value."""
    identifier = None if process_identifier is os.getpid else process_identifier

    class ShmetricsValue:
        """Makes values in shared memory; a value in process memory if the segment refuses the
        metric.
        """

        _multiprocess = True
        _shmetrics_identifier = staticmethod(process_identifier)

        def __new__(
            cls,
            typ: str,
            metric_name: str,
            name: str,
            labelnames: Any,
            labelvalues: Any,
            help_text: str = "",
            multiprocess_mode: str = "",
            unit: str = "",
            **kwargs: Any,
        ) -> Any:
            made = None
            if typ in ("counter", "gauge"):
                made = cls.make(typ, metric_name, labelnames, labelvalues, help_text, unit, multiprocess_mode or "all")
            else:
                # Of a class of the application, or of a metric that was refused.
                opened = open_for_values()
                if opened is not None:
                    opened.warn_refused(metric_name, NotImplementedError("a part of a %s is not shared" % typ))
            if made is None:
                return in_process(typ, metric_name, name, labelnames, labelvalues, help_text, **kwargs)
            return made

        @classmethod
        def make(
            cls, typ: str, name: str, labelnames: Any, labelvalues: Any, help_text: str, unit: str, argument: Any = None
        ) -> Any:
            """A native value. ``None`` if the segment refuses it, with one warning for each metric.
            """
            opened = open_for_values()
            if opened is None:
                return None
            definition = (typ, name, help_text, labelnames, unit, argument)
            try:
                if identifier is None:
                    return family(opened, opened.segment, *definition).value(tuple(labelvalues))
                return IdentityValue(opened, identifier, definition, tuple(labelvalues))
            except Exception as error:
                opened.warn_refused(name, error)
                return None

        @classmethod
        def family_of(cls, metric: Any, argument: Any) -> Any:
            """The native family of a metric with labels. ``None``: its children differ in how they
            are made, or the segment refuses it.
            """
            opened = open_for_values() if identifier is None else None
            if opened is None:
                return None
            known = metric.__dict__.get("_shmetrics_family")
            if known is not None and known[0] is opened:
                return known[1]
            unit = getattr(metric, "_unit", "")
            try:
                made = family(
                    opened, opened.segment, metric._type, metric._name, metric._documentation, metric._labelnames, unit, argument
                )
            except Exception as error:
                opened.warn_refused(metric._name, error)
                return None
            metric._shmetrics_family = (opened, made)
            return made

        @classmethod
        def close_all_files(cls) -> None:
            """There are no files."""

    return ShmetricsValue


def family(
    opened: OpenSegment, segment: Any, typ: str, name: str, documentation: str, labelnames: Any, unit: Optional[str], argument: Any
) -> ValueFamily:
    """Registers the native family. ``argument``: a gauge's mode, a histogram's bounds. It replaces
    a different definition of an earlier start.
    """
    mode = argument if typ == "gauge" else None
    bounds = argument if typ == "histogram" else None
    definition = (segment, typ, name, documentation, list(labelnames), unit or "", mode, bounds, native_factor)
    try:
        made = ValueFamily(*definition)
    except ValueError:
        if not opened.may_replace(name):
            raise
        try:
            made = ValueFamily(*definition, replace=True)
        except ValueError:
            if not opened.unregister_namesakes(name, typ):
                raise
            made = ValueFamily(*definition, replace=True)
        opened.warn_replaced(name)
        return made
    opened.defined.add(name)
    return made


class IdentityValue:
    """A value of a process that names itself, which may change: ``MultiProcessValue(identifier)``.
    """

    _multiprocess = True

    def __init__(
        self, opened: OpenSegment, identifier: Callable[[], Any], definition: "Tuple[Any, ...]", labelvalues: "Tuple[str, ...]"
    ) -> None:
        self._created_at = (opened, identifier, definition, labelvalues)
        self._values: "Dict[Any, Any]" = {}
        self._current()

    def _current(self) -> Any:
        opened, identifier, definition, labelvalues = self._created_at
        who = (os.getpid(), identifier())
        value = self._values.get(who)
        if value is None:
            value = self._values[who] = family(opened, opened.of(who), *definition).value(labelvalues)
        return value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._current(), name)


class NumberView:
    """One number of a histogram's or summary's value, as prometheus_client's code reads it."""

    __slots__ = ("_value", "_which")

    def __init__(self, value: Any, which: int) -> None:
        self._value = value
        self._which = which

    def get(self) -> float:
        return float(self._value.get(self._which))

    def get_exemplar(self) -> Any:
        get = getattr(self._value, "get_exemplar", None)
        return None if get is None else get(self._which)
