"""Refuses coroutine functions in place of per-record functions when they are passed, as nobody would await them."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

from shmflink.errors import UsageError

__all__ = ["refuse_coroutines"]


def refuse_coroutines(function: Any, *methods: str, accepted: Collection[str] = ()) -> None:
    """Accepts callables, and function objects whose methods are not coroutines.

    Checks what shmflink calls: the object itself, `methods`, and the methods that its shmflink base classes define.
    Other methods are the user's own and may be coroutines, as may those that are `accepted`.

    Raises:
        UsageError: one of them is defined with `async def`.
    """
    plain = function
    while isinstance(plain, partial):
        plain = plain.func
    if _is_coroutine(plain):
        raise UsageError(_message(_named(plain)))
    kind = type(plain)
    for name in ("__call__", *methods, *_inherited(kind)):
        if name not in accepted and _is_coroutine(getattr(kind, name, None)):
            raise UsageError(_message(f"{kind.__qualname__}.{name}()"))


def _inherited(kind: type) -> Iterator[str]:
    for base in kind.__mro__:
        if base.__module__.startswith("shmflink."):
            yield from (name for name in vars(base) if not name.startswith("_"))


def _is_coroutine(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _named(function: Any) -> str:
    code = function.__code__
    return f"{function.__qualname__}() ({code.co_filename}:{code.co_firstlineno})"


def _message(name: str) -> str:
    return (
        f"{name} is defined with `async def`: it would return a coroutine that is never awaited. Define it "
        "with `def`, or give an AsyncFunction to AsyncDataStream.unordered_wait()"
    )
