"""Checks that a decoded value has the type that the message's field declares. Pure.

A peer may send anything: a number in place of an id would raise far from here, in the code that uses it. This check
turns it into an `RpcError` on the connection on which it arrived.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args, get_origin

__all__ = ["checks_of"]

_Check = Callable[[Any], bool]
_UNIONS: Final = (typing.Union, types.UnionType)


def checks_of(kind: Any) -> tuple[tuple[str, str, _Check], ...]:
    """For each field of a dataclass, in order: its name, its declared type as text, and the check of a value."""
    hints = typing.get_type_hints(kind)
    texts = inspect.get_annotations(kind)
    return tuple((name, str(texts[name]), _check(hints[name])) for name in kind.__match_args__)


def _check(hint: Any) -> _Check:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return lambda _value: True
    if origin in _UNIONS:
        return _any_of([_check(argument) for argument in arguments])
    if origin is typing.Literal:
        return lambda value: value in arguments
    if origin is tuple and arguments[-1:] != (...,):
        return _fixed([_check(argument) for argument in arguments])
    if origin in (tuple, list, Sequence):
        return _each(_check(arguments[0]))
    if origin in (dict, Mapping):
        return _values(_check(arguments[1]))
    return _instance(origin or hint)


def _any_of(checks: Sequence[_Check]) -> _Check:
    return lambda value: any(check(value) for check in checks)


def _fixed(checks: Sequence[_Check]) -> _Check:
    def check(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) == len(checks) and all(c(v) for c, v in zip(checks, value))  # noqa: B905 - equal by then

    return check


def _each(item: _Check) -> _Check:
    return lambda value: isinstance(value, tuple) and all(map(item, value))


def _values(item: _Check) -> _Check:
    return lambda value: isinstance(value, dict) and all(map(item, value.values()))


def _instance(kind: Any) -> _Check:
    if kind is int:
        return lambda value: type(value) is int  # isinstance() takes a bool for an int
    if kind is float:
        return lambda value: type(value) in (int, float)
    return lambda value: isinstance(value, kind)
