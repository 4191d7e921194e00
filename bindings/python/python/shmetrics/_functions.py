"""Gauges whose value a function returns: it is asked whenever this process renders a page, and when
it is set.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

#: By the gauge's ``id``. Changed by single steps of the dictionary: a function may do anything, so
#: no lock is held.
_functions: "Dict[int, Tuple[Any, Callable[[], float]]]" = {}


def add(gauge: Any, f: "Callable[[], float]") -> None:
    try:
        gauge.set(float(f()))
    except Exception:
        pass  # it may not be ready yet
    _functions[id(gauge)] = (gauge, f)


def refresh() -> None:
    """Asks all functions. One that fails leaves its gauge as it was."""
    for gauge, f in list(_functions.copy().values()):
        try:
            gauge.set(float(f()))
        except Exception:
            pass

