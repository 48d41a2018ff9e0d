"""The tree of an expression, without the methods that users call."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, Final, Self

import pyarrow as pa

import shmflink
from shmflink.expressions.literals import scalar_of

__all__ = ["ALIAS", "COLUMN", "LITERAL", "Node", "place_of_caller"]

COLUMN: Final = "col"
LITERAL: Final = "lit"
ALIAS: Final = "alias"

_PACKAGE_FOLDER: Final = os.path.dirname(os.path.abspath(shmflink.__file__)) + os.sep
_FRAMES_MAX: Final = 64


class Node:
    """A function by name, applied to expressions and constants. Immutable, picklable.

    `parameters` are constants that the function needs when it is bound (a column's name, a literal and its type, a
    pattern); `place` is the user's `file:line` for messages, and not part of the expression's identity.
    """

    __slots__ = ("_identity", "arguments", "function", "parameters", "place")

    function: str
    arguments: tuple[Self, ...]
    parameters: tuple[Any, ...]
    place: str

    def __init__(
        self, function: str, arguments: tuple[Self, ...] = (), parameters: tuple[Any, ...] = (), place: str = ""
    ) -> None:
        """Created by `col`, `lit` and the methods of expressions, not by users."""
        self.function = function
        self.arguments = arguments
        self.parameters = parameters
        self.place = place or place_of_caller()
        self._identity: tuple[Any, ...] | None = None

    @classmethod
    def call(cls, function: str, *arguments: Any, parameters: tuple[Any, ...] = ()) -> Self:
        """`function` applied to these arguments; Python values among them become literals."""
        return cls(function, tuple(map(cls.operand, arguments)), parameters)

    @classmethod
    def operand(cls, value: Any) -> Self:
        """An expression unchanged; anything else as a constant."""
        return value if isinstance(value, cls) else cls(LITERAL, (), (scalar_of(value),))

    def walk(self) -> Iterator[Self]:
        """This node and all below it, parents first."""
        yield self
        for argument in self.arguments:
            yield from argument.walk()

    def same_as(self, other: Node) -> bool:
        """Whether both are the same expression, ignoring `place`. (`==` builds a comparison.)"""
        return self.identity() == other.identity()

    def identity(self) -> tuple[Any, ...]:
        """A hashable key, equal if the expressions are the same. Constants compare by type and value: 1 is not 1.0."""
        if self._identity is None:
            constants = tuple(_constant_identity(constant) for constant in self.parameters)
            self._identity = (self.function, constants, tuple(argument.identity() for argument in self.arguments))
        return self._identity

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.function, self.arguments, self.parameters, self.place)


def _constant_identity(constant: Any) -> tuple[str, ...]:
    """Arrow constants compare by type, too: a 32-bit 1 is not a 64-bit 1. (The `repr` of a long array is shortened.)"""
    if isinstance(constant, pa.Array):
        return (str(constant.type), str(constant.to_pylist()))
    return (type(constant).__name__, str(getattr(constant, "type", "")), repr(constant))


def place_of_caller() -> str:
    """`file:line` of the user's code that is building an expression; empty if there is none."""
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to learn the user's line without building a traceback
    for _ in range(_FRAMES_MAX):
        if not frame.f_code.co_filename.startswith(_PACKAGE_FOLDER):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""
