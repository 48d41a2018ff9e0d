"""`Expression`, `col` and `lit`: what a user writes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shmflink.errors import TypeMismatchError
from shmflink.expressions.aggregates import AggregateMethods
from shmflink.expressions.arithmetic import ArithmeticMethods
from shmflink.expressions.comparison import ComparisonMethods
from shmflink.expressions.node import ALIAS, COLUMN, LITERAL, Node

__all__ = ["Expression", "as_expression", "col", "lit"]


class Expression(ArithmeticMethods, ComparisonMethods, AggregateMethods, Node):
    """A function of the columns of a row (`pyflink.table.expression.Expression`).

    The methods are in one module for each family of functions.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == builds a comparison

    def alias(self, name: str, *extra_names: str) -> Expression:
        """The same under another name.

        >>> show(col("price").alias("cost"), price=[1.5])
        cost: [1.5]
        """
        return Expression(ALIAS, (self,), (name, *extra_names))

    def __bool__(self) -> bool:
        raise TypeMismatchError(
            f"`{self}` has no truth value before the job runs: use & | ~ instead of `and`, `or`, `not`, "
            "between() instead of a < b < c, and if_then_else() instead of `if`"
        )

    def __str__(self) -> str:
        match self.function:
            case "col":
                return str(self.parameters[0])
            case "lit":
                return repr(self.parameters[0].as_py())
            case "alias":
                return f"{self.arguments[0]} AS {self.parameters[0]}"
        inside = [str(argument) for argument in self.arguments] + [repr(p) for p in self.parameters]
        return f"{self.function}({', '.join(inside)})"

    def __repr__(self) -> str:
        return f"<Expression {self}>"


def col(name: str) -> Expression:
    """The column of this name.

    >>> show(col("a") + 1, a=[1, 2])
    _c0: [2, 3]
    """
    if not isinstance(name, str):
        raise TypeMismatchError(f"col() takes a column's name, got {name!r}")
    return Expression(COLUMN, (), (name,))


def lit(value: Any, data_type: pa.DataType | None = None) -> Expression:
    """A constant; its Arrow type follows from the value where none is given.

    >>> show(lit(7), a=[1, 2])
    _c0: [7, 7]
    """
    try:
        return Expression(LITERAL, (), (pa.scalar(value, data_type),))
    except (pa.ArrowException, OverflowError) as error:
        raise TypeMismatchError(f"lit({value!r}): no Arrow type for this value: {error}") from None


def as_expression(value: Any) -> Expression:
    """An expression as it is; anything else as a constant."""
    return value if isinstance(value, Expression) else lit(value)
