"""Nulls and choices. What is not chosen may fail: `if_then_else(q != 0, p / q, 0)` divides where q is not zero."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.expressions.node import LITERAL, call
from shmflink.expressions.registry import Kind, Values, function
from shmflink.expressions.types.coercions import alike
from shmflink.expressions.types.names import data_type_of, sql_name

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["ConditionalMethods", "coalesce", "if_then_else", "null_if", "null_of", "type_of"]


class ConditionalMethods:
    """Tests for null, and choices."""

    __slots__ = ()

    @property
    def is_null(self) -> Expression:
        """Whether it is null. (A float's nan is a value.)

        >>> show(col("a").is_null, a=[1, None])
        _c0: [False, True]
        """
        return call("is_null", self)

    @property
    def is_not_null(self) -> Expression:
        """Whether it is not null.

        >>> show(col("a").is_not_null, a=[1, None])
        _c0: [True, False]
        """
        return call("is_not_null", self)

    def if_null(self, null_replacement: Any) -> Expression:
        """The value, and the replacement where it is null.

        >>> show(col("a").if_null(0), a=[1, None])
        _c0: [1, 0]
        """
        return call("coalesce", self, null_replacement)

    def then(self, if_true: Any, if_false: Any) -> Expression:
        """The first where this is true, the second where it is false or null.

        >>> show((col("a") > 1).then("many", "few"), a=[1, 2, None])
        _c0: ['few', 'many', 'few']
        """
        return call("if_then_else", self, if_true, if_false)


def if_then_else(condition: Any, if_true: Any, if_false: Any) -> Expression:
    """The first where the condition is true, the second where it is false or null.

    >>> show(if_then_else(col("q") != 0, col("p") / col("q"), -1), p=[6, 7], q=[2, 0])
    _c0: [3, -1]
    """
    return call("if_then_else", condition, if_true, if_false)


def coalesce(*args: Any) -> Expression:
    """The first that is not null; null where all are.

    >>> show(coalesce(col("a"), col("b"), 0), a=[1, None, None], b=[5, 6, None])
    _c0: [1, 6, 0]
    """
    return call("coalesce", *args)


def null_if(value: Any, other: Any) -> Expression:
    """*shmflink only* (SQL's NULLIF). The value, and null where it equals the other one.

    >>> show(null_if(col("a"), 0), a=[0, 1, None])
    _c0: [None, 1, None]
    """
    return call("null_if", value, other)


def type_of(value: Any) -> Expression:
    """*shmflink only* (SQL's TYPEOF). The name of the value's type in SQL, without NOT NULL; the same for all rows.

    >>> show(type_of(col("a")), type_of(col("b") / 2), a=[1], b=[decimal.Decimal("1.50")])
    _c0: ['BIGINT']
    _c1: ['DECIMAL(14, 13)']
    """
    return call("type_of", value)


def null_of(data_type: Any) -> Expression:
    """A null of this type (an Arrow type, a type of `Types`, or a name such as "BIGINT").

    >>> show(null_of("STRING"), a=[1, 2])
    _c0: [None, None]
    """
    from shmflink.expressions.expression import Expression

    return Expression(LITERAL, (), (pa.scalar(None, data_type_of(data_type)),))


def _branches(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    return [pa.bool_(), *alike(kinds[1:], constants[1:])]


def _chosen(index: int, values: Sequence[Values]) -> Values:
    condition = pc.fill_null(values[0], False)
    return condition if index == 1 else pc.invert(condition)


def _missing_before(_index: int, values: Sequence[Values]) -> Values:
    return reduce(pc.and_, [pc.is_null(value) for value in values])


@function("if_then_else", Kind.BOOLEAN, Kind.ANY, Kind.ANY, coerce=_branches, selection=_chosen)
def _if_then_else(condition: Values, if_true: Values, if_false: Values) -> Values:
    return pc.if_else(pc.fill_null(condition, False), if_true, if_false)


@function("coalesce", Kind.ANY, variadic=True, coerce=alike, selection=_missing_before)
def _coalesce(*values: Values) -> Values:
    return pc.coalesce(*values)


@function("type_of", Kind.ANY)
def _type_of(value: Values) -> Values:
    return pa.scalar(sql_name(value.type), pa.utf8())


@function("is_null", Kind.ANY)
def _is_null(values: Values) -> Values:
    return pc.is_null(values)


@function("is_not_null", Kind.ANY)
def _is_not_null(values: Values) -> Values:
    return pc.is_valid(values)
