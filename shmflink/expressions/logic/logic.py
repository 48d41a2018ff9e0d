"""The three-valued logic of SQL: null is "unknown"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.expressions.node import call
from shmflink.expressions.registry import Kind, Selection, Values, function

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["LogicMethods", "and_", "not_", "or_"]


class LogicMethods:
    """Operators on booleans."""

    __slots__ = ()

    def __and__(self, other: Any) -> Expression:
        """Whether both are true: false if one is false, else null if one is null.

        The right side counts only where the left one is not false: it may fail elsewhere.

        >>> show(col("a") & col("b"), a=[True, False, None], b=[None, None, True])
        _c0: [None, False, None]
        """
        return _joined("and", self, other)

    def __rand__(self, other: Any) -> Expression:
        return _joined("and", other, self)

    def __or__(self, other: Any) -> Expression:
        """Whether one is true: true if one is true, else null if one is null.

        The right side counts only where the left one is not true: it may fail elsewhere.

        >>> show(col("a") | col("b"), a=[True, False, None], b=[None, None, True])
        _c0: [True, None, True]
        """
        return _joined("or", self, other)

    def __ror__(self, other: Any) -> Expression:
        return _joined("or", other, self)

    def __invert__(self) -> Expression:
        """Whether it is not true, like `is_not_true`: **true for null**, as in PyFlink. `not_()` keeps null.

        >>> show(~col("a"), not_(col("a")), a=[True, False, None])
        _c0: [False, True, True]
        _c1: [False, True, None]
        """
        return call("is_not_true", self)

    @property
    def is_true(self) -> Expression:
        """Whether it is true; false for null.

        >>> show(col("a").is_true, a=[True, False, None])
        _c0: [True, False, False]
        """
        return call("is_true", self)

    @property
    def is_false(self) -> Expression:
        """Whether it is false; false for null.

        >>> show(col("a").is_false, a=[True, False, None])
        _c0: [False, True, False]
        """
        return call("is_false", self)

    @property
    def is_not_true(self) -> Expression:
        """Whether it is false or null.

        >>> show(col("a").is_not_true, a=[True, False, None])
        _c0: [False, True, True]
        """
        return call("is_not_true", self)

    @property
    def is_not_false(self) -> Expression:
        """Whether it is true or null.

        >>> show(col("a").is_not_false, a=[True, False, None])
        _c0: [True, False, True]
        """
        return call("is_not_false", self)


def and_(predicate0: Any, predicate1: Any, *predicates: Any) -> Expression:
    """Whether all are true: false if one is false, else null if one is null.

    >>> show(and_(col("a") > 1, col("a") < 4, col("a") != 2), a=[1, 2, 3, None])
    _c0: [False, False, True, None]
    """
    joined: Expression = reduce(lambda left, right: _joined("and", left, right), [predicate0, predicate1, *predicates])
    return joined


def or_(predicate0: Any, predicate1: Any, *predicates: Any) -> Expression:
    """Whether one is true: true if one is true, else null if one is null.

    >>> show(or_(col("a") < 2, col("a") > 2), a=[1, 2, 3, None])
    _c0: [True, False, True, None]
    """
    joined: Expression = reduce(lambda left, right: _joined("or", left, right), [predicate0, predicate1, *predicates])
    return joined


def not_(expression: Any) -> Expression:
    """The opposite; null stays null.

    >>> show(not_(col("a")), a=[True, False, None])
    _c0: [False, True, None]
    """
    return call("not", expression)


def _joined(function_name: str, left: Any, right: Any) -> Expression:
    """`left AND right` in one node with what `left` joins already: chains stay flat however long they get."""
    joined = call(function_name, left, right)
    first = joined.arguments[0]
    if first.function != function_name:
        return joined
    return call(function_name, *first.arguments, joined.arguments[1])


def _undecided(decisive: bool) -> Selection:
    def selection(_index: int, values: Sequence[Values]) -> Values:
        """The rows that no earlier argument has decided."""
        decided = [pc.fill_null(value if decisive else pc.invert(value), False) for value in values]
        return pc.invert(reduce(pc.or_, decided))

    return selection


@function("and", Kind.BOOLEAN, variadic=True, selection=_undecided(decisive=False))
def _and(*values: Values) -> Values:
    return reduce(pc.and_kleene, map(_booleans, values))


@function("or", Kind.BOOLEAN, variadic=True, selection=_undecided(decisive=True))
def _or(*values: Values) -> Values:
    return reduce(pc.or_kleene, map(_booleans, values))


@function("not", Kind.BOOLEAN)
def _not(values: Values) -> Values:
    return pc.invert(_booleans(values))


@function("is_true", Kind.BOOLEAN)
def _is_true(values: Values) -> Values:
    return pc.fill_null(_booleans(values), False)


@function("is_false", Kind.BOOLEAN)
def _is_false(values: Values) -> Values:
    return pc.fill_null(pc.invert(_booleans(values)), False)


@function("is_not_true", Kind.BOOLEAN)
def _is_not_true(values: Values) -> Values:
    return pc.fill_null(pc.invert(_booleans(values)), True)


@function("is_not_false", Kind.BOOLEAN)
def _is_not_false(values: Values) -> Values:
    return pc.fill_null(_booleans(values), True)


def _booleans(values: Values) -> Values:
    return values if pa.types.is_boolean(values.type) else pc.cast(values, pa.bool_())
