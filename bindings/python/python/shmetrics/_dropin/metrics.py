"""The methods of prometheus_client's metrics, with one native call for each update."""

from __future__ import annotations

import functools
import time
from typing import Any, Callable, Dict, Optional, Tuple

from .. import _functions, _native
from .._native import add, find, is_removed, look_up
from .segments import open_for_values
from .values import NumberView, native_factor

#: Returns our value class; ``None`` if the values of metrics are of another class.
ValueClass = Callable[[], Any]


class _NativeView:
    """A descriptor for attributes of prometheus_client's metrics: a view of the native value."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, of: Any, owner: Any = None) -> Any:
        if of is None:
            return self
        value = of.__dict__.get("_shmetrics")
        if value is None:
            raise AttributeError(self.name)
        return self.view(of, value)

    def view(self, of: Any, value: Any) -> Any:
        if self.name == "_buckets":
            return [NumberView(value, i) for i in range(len(of._upper_bounds))]
        if self.name == "_count":
            return NumberView(value, 0)
        # A histogram's sum comes after its buckets.
        return NumberView(value, len(of._upper_bounds) if hasattr(of, "_upper_bounds") else 1)


class _NoLock:
    """Replaces a metric's lock. Each operation under the lock is one operation of Python's
    dictionaries. And a signal handler, or the child of a fork, could wait for a lock forever.
    """

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *exception: Any) -> None:
        pass

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return True

    def release(self) -> None:
        pass

    def locked(self) -> bool:
        return False


def patch(metrics: Any, late: bool) -> None:
    """Patches the module prometheus_client.metrics."""
    if hasattr(metrics.MetricWrapperBase, "_shmetrics_patched"):
        return
    metrics.MetricWrapperBase._shmetrics_patched = True
    values = metrics.values

    def value_class() -> Any:
        """Our value class, if values are made by it."""
        chosen = values.ValueClass
        return chosen if hasattr(chosen, "_shmetrics_identifier") else None

    mirrors = _NativeMirror(value_class)
    _patch_base(metrics.MetricWrapperBase, value_class)
    _patch_counter(metrics, metrics.Counter, value_class)
    _patch_gauge(metrics.Gauge, value_class)
    _patch_histogram_and_summary(metrics, metrics.Histogram, metrics.Summary, value_class)
    _patch_info_and_enum(metrics.Info, metrics.Enum, mirrors)
    _patch_labels(metrics.MetricWrapperBase, mirrors, _Children(metrics, value_class))


def _patch_base(base: Any, value_class: ValueClass) -> None:
    base_new = base.__init__

    @functools.wraps(base_new)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        base_new(self, *args, **kwargs)
        if "_lock" in self.__dict__ and value_class() is not None:
            self._lock = _NoLock()

    base.__init__ = init


def _patch_counter(metrics: Any, Counter: Any, value_class: ValueClass) -> None:
    Exemplar: Any = getattr(metrics, "Exemplar", None)
    validate_exemplar: Any = getattr(metrics, "_validate_exemplar", None)
    counter_init, counter_inc = Counter._metric_init, Counter.inc

    @functools.wraps(counter_init)
    def init_counter(self: Any) -> None:
        chosen = value_class()
        if chosen is None:
            counter_init(self)
            return
        self._value = chosen(
            self._type,
            self._name,
            self._name + "_total",
            self._labelnames,
            self._labelvalues,
            self._documentation,
            unit=getattr(self, "_unit", ""),
        )
        self._created = time.time()
        if hasattr(self._value, "inc_with_exemplar"):
            _adopt_counter(self, self._value)

    @functools.wraps(counter_inc)
    def inc(self: Any, amount: float = 1, exemplar: Optional[Dict[str, str]] = None) -> None:
        try:
            value = self._shmetrics
        except AttributeError:
            counter_inc(self, *((amount, exemplar) if exemplar else (amount,)))
            return
        if exemplar:
            try:
                validate_exemplar(exemplar)
            except Exception:
                value.inc(amount)
                raise
            if amount < 0:
                raise ValueError("Counters can only be incremented by non-negative amounts.")
            value.inc_with_exemplar(amount, exemplar, Exemplar(exemplar, amount, time.time()))
        else:
            value.inc(amount)

    Counter._metric_init, Counter.inc = init_counter, inc


def _patch_gauge(Gauge: Any, value_class: ValueClass) -> None:
    gauge_init, gauge_set, gauge_inc, gauge_dec = Gauge._metric_init, Gauge.set, Gauge.inc, Gauge.dec
    gauge_set_function = Gauge.set_function

    @functools.wraps(gauge_init)
    def init_gauge(self: Any) -> None:
        chosen = value_class()
        if chosen is None:
            gauge_init(self)
            return
        self._value = chosen(
            self._type,
            self._name,
            self._name,
            self._labelnames,
            self._labelvalues,
            self._documentation,
            multiprocess_mode=self._multiprocess_mode,
            unit=getattr(self, "_unit", ""),
        )
        if hasattr(self._value, "is_removed"):
            _adopt_gauge(self, self._value)

    @functools.wraps(gauge_set)
    def set(self: Any, value: float) -> None:
        try:
            of = self._shmetrics
        except AttributeError:
            gauge_set(self, value)
            return
        of.set(float(value))

    @functools.wraps(gauge_inc)
    def inc_gauge(self: Any, amount: float = 1) -> None:
        try:
            of = self._shmetrics_adds
        except AttributeError:
            gauge_inc(self, amount)
            return
        of.inc(amount)

    @functools.wraps(gauge_dec)
    def dec_gauge(self: Any, amount: float = 1) -> None:
        try:
            of = self._shmetrics_adds
        except AttributeError:
            gauge_dec(self, amount)
            return
        of.dec(amount)

    @functools.wraps(gauge_set_function)
    def set_function(self: Any, f: Any) -> None:
        gauge_set_function(self, f)
        if hasattr(self, "_shmetrics"):
            _functions.add(self._shmetrics, f)

    Gauge._metric_init, Gauge.set, Gauge.set_function = init_gauge, set, set_function
    Gauge.inc, Gauge.dec = inc_gauge, dec_gauge


def _patch_histogram_and_summary(metrics: Any, Histogram: Any, Summary: Any, value_class: ValueClass) -> None:
    Exemplar: Any = getattr(metrics, "Exemplar", None)
    validate_exemplar: Any = getattr(metrics, "_validate_exemplar", None)
    histogram_observe, summary_observe = Histogram.observe, Summary.observe

    def init_of(metric_init: Any) -> Any:
        @functools.wraps(metric_init)
        def init(self: Any) -> None:
            chosen = value_class()
            value = None
            if chosen is not None:
                value = chosen.make(
                    self._type,
                    self._name,
                    self._labelnames,
                    self._labelvalues,
                    self._documentation,
                    getattr(self, "_unit", ""),
                    getattr(self, "_upper_bounds", None),
                )
            if value is None:
                metric_init(self)
                return
            _adopt_observer(self, value)

        return init

    @functools.wraps(histogram_observe)
    def observe(self: Any, amount: float, exemplar: Optional[Dict[str, str]] = None) -> None:
        try:
            value = self._shmetrics
        except AttributeError:
            histogram_observe(self, *((amount, exemplar) if exemplar else (amount,)))
            return
        if exemplar:
            try:
                validate_exemplar(exemplar)
            except Exception:
                value.observe(amount)
                raise
            value.observe_with_exemplar(amount, exemplar, Exemplar(exemplar, amount, time.time()))
        else:
            value.observe(amount)

    @functools.wraps(summary_observe)
    def observe_summary(self: Any, amount: float) -> None:
        try:
            value = self._shmetrics
        except AttributeError:
            summary_observe(self, amount)
            return
        value.observe(amount)

    Histogram._metric_init, Histogram.observe = init_of(Histogram._metric_init), observe
    Summary._metric_init, Summary.observe = init_of(Summary._metric_init), observe_summary
    Histogram._sum, Histogram._buckets = _NativeView("_sum"), _NativeView("_buckets")
    Summary._sum, Summary._count = _NativeView("_sum"), _NativeView("_count")


class _NativeMirror:
    """Native metrics of the same names as prometheus_client's, for what value objects cannot do."""

    def __init__(self, value_class: ValueClass) -> None:
        self._value_class = value_class

    def parent(self, of: Any) -> Any:
        """The native metric of the same name, if this one counts into the segment. A metric has at
        most one.
        """
        known = of.__dict__.get("_shmetrics_mirror")
        if known is not None or self._value_class() is None:
            return known
        opened = open_for_values()
        if opened is None:
            return None
        kind = of._type
        key = (kind, of._name, of._labelnames)
        if key in opened.mirrors:
            # A child has the one of its parent.
            of._shmetrics_mirror = opened.mirrors[key]
            return of._shmetrics_mirror
        arguments: "Dict[str, Any]" = {"segment": opened.segment}
        replaced = False
        if kind == "histogram":
            arguments["buckets"] = of._upper_bounds
            arguments["native_factor"] = native_factor
        elif kind == "gauge":
            arguments["multiprocess_mode"] = of._multiprocess_mode
        elif kind == "stateset":
            arguments["states"] = list(of._states)
        if kind in ("info", "stateset") and opened.may_replace(of._name):
            # Replaces the definition of an earlier start, if there is one.
            arguments["replace"] = True
        unit = getattr(of, "_unit", "")
        if unit and kind not in ("info", "stateset"):
            arguments["unit"] = unit
        classes: "Dict[str, Any]" = {
            "counter": _native.Counter,
            "gauge": _native.Gauge,
            "histogram": _native.Histogram,
            "summary": _native.Summary,
            "info": _native.Info,
            "stateset": _native.Enum,
        }
        try:
            # The native class removes one `_total` from a counter's name.
            name = of._name + "_total" if kind == "counter" else of._name
            if "replace" in arguments:
                replaced = opened.unregister_namesakes(of._name, kind)
            made = classes[kind](name, of._documentation, of._labelnames, **arguments)
        except Exception as error:
            opened.warn_refused(of._name, error)
            return None
        of._shmetrics_mirror = opened.mirrors[key] = made
        if replaced:
            opened.warn_replaced(of._name)
        return made

    def is_active(self) -> bool:
        return self._value_class() is not None

    def warn_refused(self, of: Any, error: Exception) -> None:
        opened = open_for_values()
        if opened is not None:
            opened.warn_refused(of._name, error)

    def own(self, of: Any) -> Any:
        """The native child, or the native metric without labels."""
        parent = self.parent(of)
        return parent.labels(*of._labelvalues) if parent is not None and of._labelnames else parent


def _patch_info_and_enum(Info: Any, Enum: Any, mirrors: _NativeMirror) -> None:
    info_init, info_info, enum_init, enum_state = Info._metric_init, Info.info, Enum.__init__, Enum.state

    @functools.wraps(info_init)
    def init_info(self: Any) -> None:
        info_init(self)
        # The info is on the page before `info()` is called.
        self._shmetrics_info = mirrors.own(self)

    @functools.wraps(info_info)
    def info(self: Any, val: Dict[str, str]) -> None:
        info_info(self, val)
        own = self.__dict__.get("_shmetrics_info")
        if own is not None:
            try:
                own.info({str(k): str(v) for k, v in val.items()})
            except ValueError as error:
                mirrors.warn_refused(self, error)

    @functools.wraps(enum_init)
    def init_enum(self: Any, *args: Any, **kwargs: Any) -> None:
        enum_init(self, *args, **kwargs)
        # An enum has a state from the beginning.
        if not self._labelnames or self._labelvalues:
            own = mirrors.own(self)
            if own is not None:
                self._shmetrics = own

    @functools.wraps(enum_state)
    def state(self: Any, state: str) -> None:
        enum_state(self, state)
        own = self.__dict__.get("_shmetrics")
        if own is not None:
            own.state(state)

    Info._metric_init, Info.info, Enum.__init__, Enum.state = init_info, info, init_enum, state


class _Children:
    """Makes the children of metrics."""

    def __init__(self, metrics: Any, value_class: ValueClass) -> None:
        self._value_class = value_class
        #: How a child of prometheus_client's classes is made. If the application has changed
        #: neither function, the fast path makes the same child.
        self._fast: "Dict[Any, Tuple[Any, Any, Any, Any]]" = {
            of: (of.__init__, of._metric_init, adopt, argument)
            for of, adopt, argument in (
                (metrics.Counter, _adopt_counter, None),
                (metrics.Gauge, _adopt_gauge, "_multiprocess_mode"),
                (metrics.Histogram, _adopt_observer, "_upper_bounds"),
                (metrics.Summary, _adopt_observer, None),
            )
        }

    def make(self, parent: Any, key: "Tuple[str, ...]") -> Any:
        """The child with these label values, by the fast path; ``None`` if there is none."""
        of = parent.__class__
        fast = self._fast.get(of)
        if fast is None:
            return None
        init, metric_init, adopt, argument = fast
        chosen = self._value_class()
        if chosen is None or of.__init__ is not init or of._metric_init is not metric_init:
            return None
        family = chosen.family_of(parent, None if argument is None else getattr(parent, argument))
        if family is None:
            return None
        child = of.__new__(of)
        its = child.__dict__
        its.update(parent.__dict__.get("_shmetrics_template") or _template(parent))
        its["_labelvalues"] = key
        adopt(child, family.value(key))
        return add(parent._metrics, key, child)


def _template(parent: Any) -> "Dict[str, Any]":
    """The attributes that a child has from its parent."""
    template = {
        name: value
        for name, value in parent.__dict__.copy().items()  # other threads add attributes
        if name.startswith("_") and name not in ("_lock", "_metrics") and not name.startswith("_shmetrics")
    }
    parent._shmetrics_template = template
    return template


def _adopt_counter(child: Any, value: Any) -> None:
    child._value = child._shmetrics = value
    child._created = time.time()


def _adopt_gauge(child: Any, value: Any) -> None:
    child._value = child._shmetrics = value
    if "recent" not in child._multiprocess_mode:
        child._shmetrics_adds = value


def _adopt_observer(child: Any, value: Any) -> None:
    child._shmetrics = value
    child._created = time.time()


def _patch_labels(base: Any, mirrors: _NativeMirror, children: _Children) -> None:
    base_labels, base_remove, base_clear = base.labels, base.remove, base.clear
    base_remove_by_labels: Any = getattr(base, "remove_by_labels", None)

    @functools.wraps(base_labels)
    def labels(self: Any, *labelvalues: Any, **labelkwargs: Any) -> Any:
        try:
            if not labelkwargs:
                # The fast path.
                found = look_up(self._metrics, labelvalues)
                if found is not None:
                    return found
            found = find(self._metrics, self._labelnames, labelvalues, labelkwargs)
        except AttributeError:
            found = None
        if found.__class__ is not tuple:
            # prometheus_client raises the error.
            return base_labels(self, *labelvalues, **labelkwargs) if found is None else found
        child = children.make(self, found)
        return child if child is not None else slow_child(self, found)

    def slow_child(self: Any, key: "Tuple[str, ...]") -> Any:
        """A child made by prometheus_client."""
        child = None
        for attempt in range(100):
            known = self._metrics.get(key)
            if known is not None and is_removed(known):
                # Another process has removed it.
                self._metrics.pop(key, None)
            try:
                child = base_labels(self, *key)
            except KeyError:
                if attempt == 99:
                    raise
                continue  # removed by another thread as soon as it was there
            if not is_removed(child):
                break
        return child

    # The three methods below are as in prometheus_client, without the warning that they do nothing
    # in multiprocess mode.

    @functools.wraps(base_remove)
    def remove(self: Any, *labelvalues: Any) -> None:
        if not mirrors.is_active():
            base_remove(self, *labelvalues)
            return
        if not self._labelnames:
            raise ValueError("No label names were set when constructing %s" % self)
        if len(labelvalues) != len(self._labelnames):
            raise ValueError("Incorrect label count (expected %d, got %s)" % (len(self._labelnames), labelvalues))
        self._metrics.pop(tuple(str(value) for value in labelvalues), None)
        native = mirrors.parent(self)
        if native is not None:
            native.remove(*labelvalues)

    def remove_by_labels(self: Any, labels: Dict[str, str]) -> None:
        if not mirrors.is_active():
            base_remove_by_labels(self, labels)
            return
        if not self._labelnames:
            raise ValueError("No label names were set when constructing %s" % self)
        if not isinstance(labels, dict):
            raise TypeError("labels must be a dict of {label_name: label_value}")
        unknown = [name for name in labels if name not in self._labelnames]
        if unknown:
            raise ValueError("Unknown label names: %s; expected %s" % (unknown, self._labelnames))
        if not labels:
            return
        wanted = {self._labelnames.index(name): str(value) for name, value in labels.items()}
        for values in list(self._metrics):
            if all(values[at] == value for at, value in wanted.items()):
                self._metrics.pop(values, None)
        native = mirrors.parent(self)
        if native is not None:
            native.remove_by_labels(labels)

    @functools.wraps(base_clear)
    def clear(self: Any) -> None:
        if not mirrors.is_active():
            base_clear(self)
            return
        if not self._labelnames:
            return
        self._metrics = {}
        native = mirrors.parent(self)
        if native is not None:
            native.clear()

    base.labels, base.remove, base.clear = labels, remove, clear
    if base_remove_by_labels is not None:
        base.remove_by_labels = functools.wraps(base_remove_by_labels)(remove_by_labels)
