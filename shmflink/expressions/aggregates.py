"""Aggregate functions: what an expression over a group is made of. Computed by `operators/group_aggregate.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import ALIAS, COLUMN, Node, call

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["AGGREGATE_FUNCTIONS", "AggregateCall", "AggregateMethods", "count", "split_aggregates"]

AGGREGATE_FUNCTIONS: Final = frozenset(
    [
        "count",
        "sum",
        "sum0",
        "min",
        "max",
        "avg",
        "first_value",
        "last_value",
        "stddev_pop",
        "stddev_samp",
        "var_pop",
        "var_samp",
        "approx_count_distinct",
        "collect",
        "array_agg",
        "list_agg",
        "median",
        "quantile",
        "approx_quantile",
        "arg_min",
        "arg_max",
        "top_n",
        "bool_and",
        "bool_or",
    ]
)


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """One aggregate: `count` without arguments counts rows; `parameters` are constants (a fraction, an n)."""

    function: str
    arguments: tuple[Expression, ...] = ()
    parameters: tuple[Any, ...] = ()
    is_distinct: bool = False


class AggregateMethods:
    """Aggregates of an expression over a group."""

    __slots__ = ()

    @property
    def sum(self) -> Expression:
        """Sum of the values that are not null; null where there is none."""
        return call("sum", self)

    @property
    def max(self) -> Expression:
        """Greatest value; null where there is none."""
        return call("max", self)

    @property
    def count(self) -> Expression:
        """Number of values that are not null."""
        return call("count", self)


def count(expression: Expression | None = None) -> Expression:
    """*shmflink only.* Number of rows, or of the values of `expression` that are not null."""
    return call("count") if expression is None else call("count", expression)


def split_aggregates(
    named: Mapping[str, Expression],
) -> tuple[dict[str, AggregateCall], dict[str, Expression]]:
    """Takes expressions over aggregates apart: the distinct aggregate calls, by name, and expressions over these names.

    Raises:
        TypeMismatchError: no aggregate in an expression, a column outside of one, or one inside another.
    """
    calls: dict[str, AggregateCall] = {}
    known: dict[tuple[Any, ...], str] = {}
    results = {name: _replaced(expression, name, calls, known) for name, expression in named.items()}
    return calls, results


def _replaced(
    node: Expression, wanted: str, calls: dict[str, AggregateCall], known: dict[tuple[Any, ...], str]
) -> Expression:
    from shmflink.expressions.expression import Expression

    if node.function == ALIAS:
        return _replaced(node.arguments[0], wanted, calls, known)
    if node.function == COLUMN:
        raise TypeMismatchError(
            f"{node.place}: `{node}` is not inside an aggregate: use col('{node}').first_value, .max, ..."
        )
    if node.function not in AGGREGATE_FUNCTIONS:
        arguments = tuple(_replaced(argument, "", calls, known) for argument in node.arguments)
        return Expression(node.function, arguments, node.parameters, node.place)
    identity = node.identity()
    if identity not in known:
        name = wanted if wanted and wanted not in calls else f"__aggregate{len(calls)}"
        known[identity] = name
        calls[name] = _call_of(node)
    return Expression(COLUMN, (), (known[identity],), node.place)


def _call_of(node: Expression) -> AggregateCall:
    inner: list[Node] = [below for argument in node.arguments for below in argument.walk()]
    nested = next((below for below in inner if below.function in AGGREGATE_FUNCTIONS), None)
    if nested is not None:
        raise TypeMismatchError(f"{node.place}: `{node}`: an aggregate inside an aggregate; aggregate twice")
    is_distinct = bool(node.arguments) and node.arguments[0].function == "distinct"
    arguments = node.arguments[0].arguments if is_distinct else node.arguments
    return AggregateCall(node.function, arguments, node.parameters, is_distinct)
