"""Gauges whose value a function returns. The function is called when it is set, and whenever this
process renders a page.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

#: By the gauge's ``id``. A function may do anything, so there is no lock: each change is one
#: operation of the dictionary.
_functions: "Dict[int, Tuple[Any, Callable[[], float]]]" = {}


def add(gauge: Any, f: "Callable[[], float]") -> None:
    try:
        gauge.set(float(f()))
    except Exception:
        pass  # it may not be ready yet
    _functions[id(gauge)] = (gauge, f)


def refresh() -> None:
    """Calls all functions. If one fails, its gauge keeps its value."""
    for gauge, f in list(_functions.copy().values()):
        try:
            gauge.set(float(f()))
        except Exception:
            pass

