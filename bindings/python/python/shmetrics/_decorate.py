"""Decorated functions: each call runs in a context manager. For a coroutine it lasts until the
coroutine ends.
"""

from __future__ import annotations

import functools
from typing import Any, Callable


def constant(context: Any) -> "Callable[[], Any]":
    return lambda: context


def _is_coroutine_function(f: Any) -> bool:
    while isinstance(f, functools.partial):
        f = f.func
    code = getattr(getattr(f, "__func__", f), "__code__", None)
    # CO_COROUTINE, or CO_ITERABLE_COROUTINE as types.coroutine sets it.
    return code is not None and bool(code.co_flags & 0x180)


def decorate(make: "Callable[[], Any]", f: "Callable[..., Any]") -> "Callable[..., Any]":
    if _is_coroutine_function(f):

        @functools.wraps(f)
        async def wrapped_async(*args: Any, **kwargs: Any) -> Any:
            with make():
                return await f(*args, **kwargs)

        return wrapped_async

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        with make():
            return f(*args, **kwargs)

    return wrapped
