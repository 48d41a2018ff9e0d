"""Strings made from several values."""

from __future__ import annotations

from typing import Any

from shmflink.expressions.expression import Expression

__all__ = ["concat", "concat_ws"]


def concat(first: Any, *others: Any) -> Expression:
    """The concatenated strings; null if one is null.

    >>> show(concat(col("s"), "-", col("t")), s=["a", None], t=["b", "c"])
    _c0: ['a-b', None]
    """
    return Expression.call("concat", first, *others)


def concat_ws(separator: Any, first: Any, *others: Any) -> Expression:
    """The strings that are not null, joined by a separator; null if the separator is null.

    >>> show(concat_ws("~", col("s"), col("t"), "c"), s=["a", None], t=["b", "b"])
    _c0: ['a~b~c', 'b~c']
    """
    return Expression.call("concat_ws", separator, first, *others)
