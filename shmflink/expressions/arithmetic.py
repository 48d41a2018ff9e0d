"""Arithmetic: what operators do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from shmflink.expressions.node import call
from shmflink.expressions.registry import Kind, Values, function

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["ArithmeticMethods"]


class ArithmeticMethods:
    """Operators on numbers."""

    __slots__ = ()

    def __add__(self, other: Any) -> Expression:
        return call("plus", self, other)

    def __radd__(self, other: Any) -> Expression:
        return call("plus", other, self)

    def __mul__(self, other: Any) -> Expression:
        return call("times", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return call("times", other, self)


@function("plus", Kind.ANY, Kind.ANY)
def _plus(left: Values, right: Values) -> Values:
    return pc.add(left, right)


@function("times", Kind.NUMBER, Kind.NUMBER)
def _times(left: Values, right: Values) -> Values:
    return pc.multiply(left, right)
