"""Aggregates of rows."""

from __future__ import annotations

from shmflink.expressions.expression import Expression

__all__ = ["count"]


def count(expression: Expression | None = None) -> Expression:
    """*shmflink only.* Number of rows, or of the values of `expression` that are not null.

    >>> count(), count(col("price"))
    (<Expression count()>, <Expression count(price)>)
    """
    return Expression.call("count") if expression is None else Expression.call("count", expression)
