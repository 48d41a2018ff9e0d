"""Nulls and conditionals. A value that is not chosen may fail: `if_then_else(q != 0, p / q, 0)` never divides by 0."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Self

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.types.coercions import alike
from shmflink.expressions.types.names import sql_name

__all__ = ["ConditionalMethods"]


class ConditionalMethods(Node):
    """Tests for null, and conditionals."""

    __slots__ = ()

    @property
    def is_null(self) -> Self:
        """Whether it is null. (A float's nan is a value.)

        >>> show(col("a").is_null, a=[1, None])
        _c0: [False, True]
        """
        return self.call("is_null", self)

    @property
    def is_not_null(self) -> Self:
        """Whether it is not null.

        >>> show(col("a").is_not_null, a=[1, None])
        _c0: [True, False]
        """
        return self.call("is_not_null", self)

    def if_null(self, null_replacement: Any) -> Self:
        """The value, or the replacement if it is null.

        >>> show(col("a").if_null(0), a=[1, None])
        _c0: [1, 0]
        """
        return self.call("coalesce", self, null_replacement)

    def then(self, if_true: Any, if_false: Any) -> Self:
        """The first value if this is true, the second if it is false or null.

        >>> show((col("a") > 1).then("many", "few"), a=[1, 2, None])
        _c0: ['few', 'many', 'few']
        """
        return self.call("if_then_else", self, if_true, if_false)


def _branches(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    return [pa.bool_(), *alike(kinds[1:], constants[1:])]


def _chosen(index: int, values: Sequence[Values]) -> Values:
    condition = pc.fill_null(values[0], False)
    return condition if index == 1 else pc.invert(condition)


def _missing_before(_index: int, values: Sequence[Values]) -> Values:
    return reduce(pc.and_, [pc.is_null(value) for value in values])


@function("if_then_else", TypeFamily.BOOLEAN, TypeFamily.ANY, TypeFamily.ANY, coerce=_branches, selection=_chosen)
def _if_then_else(condition: Values, if_true: Values, if_false: Values) -> Values:
    return pc.if_else(pc.fill_null(condition, False), if_true, if_false)


@function("coalesce", TypeFamily.ANY, variadic=True, coerce=alike, selection=_missing_before)
def _coalesce(*values: Values) -> Values:
    return pc.coalesce(*values)


@function("type_of", TypeFamily.ANY)
def _type_of(value: Values) -> Values:
    return pa.scalar(sql_name(value.type), pa.utf8())


@function("is_null", TypeFamily.ANY)
def _is_null(values: Values) -> Values:
    return pc.is_null(values)


@function("is_not_null", TypeFamily.ANY)
def _is_not_null(values: Values) -> Values:
    return pc.is_valid(values)
