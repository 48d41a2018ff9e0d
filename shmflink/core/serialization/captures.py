"""Containers that functions capture, shared with a job that runs in the process that builds it.

Functions are serialized by value, so a lambda's captured objects are copies wherever it runs. A test that runs its job
inline wants to read the list to which its lambda appends: until `shared_captures()` ends, lists, dicts, sets, deques
and queues that the user's functions capture are pickled as references to themselves. Attributes of function objects
(`self.buffer`) are still copied, because they belong to one subtask.
"""

from __future__ import annotations

import collections
import contextvars
import itertools
import queue
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import BuiltinMethodType, CodeType, FunctionType
from typing import Any, Final

__all__ = ["Captures", "current_captures", "shared_captures", "shared_object"]

_CONTAINERS: Final = (list, dict, set, bytearray, collections.deque, queue.Queue, queue.SimpleQueue)
_OURS: Final = "shmflink."

_NUMBERS: Final = itertools.count(1)
_ALIVE: Final[weakref.WeakValueDictionary[int, Captures]] = weakref.WeakValueDictionary()
_CURRENT: Final[contextvars.ContextVar[Captures | None]] = contextvars.ContextVar("captures", default=None)


class Captures:
    """The captured containers of one test, by number."""

    def __init__(self) -> None:
        self._number = next(_NUMBERS)
        self._containers: list[Any] = []
        self._index_of: dict[int, int] = {}  # by identity
        _ALIVE[self._number] = self

    def reference(self, obj: Any) -> tuple[int, int] | None:
        """What is pickled in place of a captured container; records what `obj` captures if it is a function."""
        if isinstance(obj, FunctionType):
            self._note(_captured(obj))
        elif isinstance(obj, BuiltinMethodType):  # `seen.append` itself
            self._note(iter((obj.__self__,)))
        index = self._index_of.get(id(obj))
        return None if index is None else (self._number, index)

    def container(self, index: int) -> object:
        """The object of a reference."""
        return self._containers[index]

    def _note(self, objects: Iterator[Any]) -> None:
        for obj in objects:
            if isinstance(obj, _CONTAINERS) and id(obj) not in self._index_of:
                self._index_of[id(obj)] = len(self._containers)
                self._containers.append(obj)


def current_captures() -> Captures | None:
    """The captures of the innermost `shared_captures()`."""
    return _CURRENT.get()


@contextmanager
def shared_captures() -> Iterator[Captures]:
    """Functions that are pickled in this context keep the containers that they capture."""
    captures = Captures()
    token = _CURRENT.set(captures)
    try:
        yield captures
    finally:
        _CURRENT.reset(token)


def shared_object(reference: tuple[int, int]) -> object:
    """The object for which `Captures.reference` stands.

    Raises:
        KeyError: in another process, or after its test.
    """
    number, index = reference
    return _ALIVE[number].container(index)


def _captured(function: FunctionType) -> Iterator[Any]:
    """Values that the code of a user's function can reach: cells, defaults and globals."""
    if (function.__module__ or "").startswith(_OURS):
        return
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    namespace = function.__globals__
    yield from (namespace[name] for name in _names(function.__code__) if name in namespace)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
