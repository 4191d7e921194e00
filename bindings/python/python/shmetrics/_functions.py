"""Gauges whose value a function returns: it is asked whenever this process renders a page, and when it is set."""

from __future__ import annotations

import os
import threading
from typing import Any, Callable, List, Tuple

_functions: "List[Tuple[Any, Callable[[], float]]]" = []
_lock = threading.Lock()


def add(gauge: Any, f: "Callable[[], float]") -> None:
    try:
        gauge.set(float(f()))
    except Exception:
        pass  # it may not be ready yet
    with _lock:
        _functions[:] = [(g, old) for g, old in _functions if g is not gauge]
        _functions.append((gauge, f))


def refresh() -> None:
    """Asks all functions. One that fails leaves its gauge as it was."""
    for gauge, f in list(_functions):
        try:
            gauge.set(float(f()))
        except Exception:
            pass


def _new_process() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_new_process)
