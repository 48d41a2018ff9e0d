"""Comparisons, and the three-valued logic of SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from shmflink.expressions.node import call
from shmflink.expressions.registry import Kind, Values, function

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["ComparisonMethods"]


class ComparisonMethods:
    """Operators that give booleans."""

    __slots__ = ()

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return call("equals", self, other)

    def __gt__(self, other: Any) -> Expression:
        return call("greater_than", self, other)

    def __and__(self, other: Any) -> Expression:
        return call("and", self, other)


@function("equals", Kind.ANY, Kind.ANY)
def _equals(left: Values, right: Values) -> Values:
    return pc.equal(left, right)


@function("greater_than", Kind.COMPARABLE, Kind.COMPARABLE)
def _greater_than(left: Values, right: Values) -> Values:
    return pc.greater(left, right)


@function("and", Kind.BOOLEAN, Kind.BOOLEAN)
def _and(left: Values, right: Values) -> Values:
    return pc.and_kleene(left, right)
