"""Logic and conditionals. A value that is not chosen may fail."""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

from shmflink.expressions.expression import Expression, lit
from shmflink.expressions.logic.logic import joined

__all__ = ["and_", "coalesce", "if_then_else", "not_", "null_if", "null_of", "or_", "type_of"]


def if_then_else(condition: Any, if_true: Any, if_false: Any) -> Expression:
    """The first value if the condition is true, the second if it is false or null.

    >>> show(if_then_else(col("q") != 0, col("p") / col("q"), -1), p=[6, 7], q=[2, 0])
    _c0: [3, -1]
    """
    return Expression.call("if_then_else", condition, if_true, if_false)


def coalesce(*args: Any) -> Expression:
    """The first value that is not null; null if all are.

    >>> show(coalesce(col("a"), col("b"), 0), a=[1, None, None], b=[5, 6, None])
    _c0: [1, 6, 0]
    """
    return Expression.call("coalesce", *args)


def null_if(value: Any, other: Any) -> Expression:
    """*shmflink only* (SQL's NULLIF). The value; null if it equals the other one.

    >>> show(null_if(col("a"), 0), a=[0, 1, None])
    _c0: [None, 1, None]
    """
    return Expression.call("null_if", value, other)


def type_of(value: Any) -> Expression:
    """*shmflink only* (SQL's TYPEOF). The name of the value's type in SQL, without NOT NULL; the same for all rows.

    >>> show(type_of(col("a")), type_of(col("b") / 2), a=[1], b=[decimal.Decimal("1.50")])
    _c0: ['BIGINT']
    _c1: ['DECIMAL(14, 13)']
    """
    return Expression.call("type_of", value)


def null_of(data_type: Any) -> Expression:
    """A null of this type (an Arrow type, a type of `Types`, or a name like "BIGINT").

    >>> show(null_of("STRING"), a=[1, 2])
    _c0: [None, None]
    """
    return lit(None, data_type)


def and_(predicate0: Any, predicate1: Any, *predicates: Any) -> Expression:
    """Whether all are true: false if one is false, otherwise null if one is null.

    >>> show(and_(col("a") > 1, col("a") < 4, col("a") != 2), a=[1, 2, 3, None])
    _c0: [False, False, True, None]
    """
    first = joined(Expression, "and", predicate0, predicate1)
    return reduce(partial(joined, Expression, "and"), predicates, first)


def or_(predicate0: Any, predicate1: Any, *predicates: Any) -> Expression:
    """Whether at least one is true: true if one is true, otherwise null if one is null.

    >>> show(or_(col("a") < 2, col("a") > 2), a=[1, 2, 3, None])
    _c0: [True, False, True, None]
    """
    first = joined(Expression, "or", predicate0, predicate1)
    return reduce(partial(joined, Expression, "or"), predicates, first)


def not_(expression: Any) -> Expression:
    """The negation; null remains null.

    >>> show(not_(col("a")), a=[True, False, None])
    _c0: [False, True, None]
    """
    return Expression.call("not", expression)
