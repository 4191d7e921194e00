"""Decorated functions: each call runs in a context manager, a coroutine's until it has ended."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Callable


def same(context: Any) -> "Callable[[], Any]":
    return lambda: context


def decorate(make: "Callable[[], Any]", f: "Callable[..., Any]") -> "Callable[..., Any]":
    if inspect.iscoroutinefunction(f):

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
