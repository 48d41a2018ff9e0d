"""The three-valued logic of SQL: null is "unknown"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Self, TypeVar

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.registry import Selection, TypeFamily, Values, function

__all__ = ["LogicMethods", "joined"]

N = TypeVar("N", bound=Node)


class LogicMethods(Node):
    """Operators on booleans."""

    __slots__ = ()

    def __and__(self, other: Any) -> Self:
        """Whether both are true: false if one is false, otherwise null if one is null.

        In rows where the left side is false, the right side may fail.

        >>> show(col("a") & col("b"), a=[True, False, None], b=[None, None, True])
        _c0: [None, False, None]
        """
        return joined(type(self), "and", self, other)

    def __rand__(self, other: Any) -> Self:
        return joined(type(self), "and", other, self)

    def __or__(self, other: Any) -> Self:
        """Whether at least one is true: true if one is true, otherwise null if one is null.

        In rows where the left side is true, the right side may fail.

        >>> show(col("a") | col("b"), a=[True, False, None], b=[None, None, True])
        _c0: [True, None, True]
        """
        return joined(type(self), "or", self, other)

    def __ror__(self, other: Any) -> Self:
        return joined(type(self), "or", other, self)

    def __invert__(self) -> Self:
        """Whether it is not true, like `is_not_true`: **true for null**, as in PyFlink. `not_()` of null is null.

        >>> show(~col("a"), not_(col("a")), a=[True, False, None])
        _c0: [False, True, True]
        _c1: [False, True, None]
        """
        return self.call("is_not_true", self)

    @property
    def is_true(self) -> Self:
        """Whether it is true; false for null.

        >>> show(col("a").is_true, a=[True, False, None])
        _c0: [True, False, False]
        """
        return self.call("is_true", self)

    @property
    def is_false(self) -> Self:
        """Whether it is false; false for null.

        >>> show(col("a").is_false, a=[True, False, None])
        _c0: [False, True, False]
        """
        return self.call("is_false", self)

    @property
    def is_not_true(self) -> Self:
        """Whether it is false or null.

        >>> show(col("a").is_not_true, a=[True, False, None])
        _c0: [False, True, True]
        """
        return self.call("is_not_true", self)

    @property
    def is_not_false(self) -> Self:
        """Whether it is true or null.

        >>> show(col("a").is_not_false, a=[True, False, None])
        _c0: [True, False, True]
        """
        return self.call("is_not_false", self)


def joined(kind: type[N], function_name: str, left: Any, right: Any) -> N:
    """`left AND right`, added to the node of `left` if that is an AND: long chains stay flat."""
    both = kind.call(function_name, left, right)
    first = both.arguments[0]
    if first.function != function_name:
        return both
    return kind.call(function_name, *first.arguments, both.arguments[1])


def _undecided(decisive: bool) -> Selection:
    def selection(_index: int, values: Sequence[Values]) -> Values:
        """The rows for which no earlier argument has determined the result."""
        decided = [pc.fill_null(value if decisive else pc.invert(value), False) for value in values]
        return pc.invert(reduce(pc.or_, decided))

    return selection


@function("and", TypeFamily.BOOLEAN, variadic=True, selection=_undecided(decisive=False))
def _and(*values: Values) -> Values:
    return reduce(pc.and_kleene, map(_booleans, values))


@function("or", TypeFamily.BOOLEAN, variadic=True, selection=_undecided(decisive=True))
def _or(*values: Values) -> Values:
    return reduce(pc.or_kleene, map(_booleans, values))


@function("not", TypeFamily.BOOLEAN)
def _not(values: Values) -> Values:
    return pc.invert(_booleans(values))


@function("is_true", TypeFamily.BOOLEAN)
def _is_true(values: Values) -> Values:
    return pc.fill_null(_booleans(values), False)


@function("is_false", TypeFamily.BOOLEAN)
def _is_false(values: Values) -> Values:
    return pc.fill_null(pc.invert(_booleans(values)), False)


@function("is_not_true", TypeFamily.BOOLEAN)
def _is_not_true(values: Values) -> Values:
    return pc.fill_null(pc.invert(_booleans(values)), True)


@function("is_not_false", TypeFamily.BOOLEAN)
def _is_not_false(values: Values) -> Values:
    return pc.fill_null(_booleans(values), True)


def _booleans(values: Values) -> Values:
    return values if pa.types.is_boolean(values.type) else pc.cast(values, pa.bool_())
