"""Splits expressions over aggregates into aggregate calls and expressions over their results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import TypeMismatchError
from shmflink.expressions.aggregates.methods import AGGREGATE_FUNCTIONS, DISTINCT
from shmflink.expressions.expression import Expression
from shmflink.expressions.node import ALIAS, COLUMN

__all__ = ["AggregateCall", "split_aggregates"]


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """One aggregate of a group's rows.

    `count` without arguments counts rows. The arguments of `arg_min`, `arg_max` and `top_n` are the value and the sort
    key. `parameters` are constants: the fraction of `quantile` and `approx_quantile`, the n of `top_n`, the separator
    of `list_agg`. `is_distinct`: each distinct value of the first argument counts once. `has_flink_types`: sums,
    averages and variances have the types and the arithmetic of Flink SQL (`SUM(INT)` is an INT and wraps around,
    `SUM(DECIMAL)` is null if it does not fit); otherwise they are wide and exact (a BIGINT; an error if it does not
    fit).
    """

    function: str
    arguments: tuple[Expression, ...] = ()
    parameters: tuple[Any, ...] = ()
    is_distinct: bool = False
    has_flink_types: bool = False


def split_aggregates(
    named: Mapping[str, Expression],
) -> tuple[dict[str, AggregateCall], dict[str, Expression]]:
    """Splits expressions over aggregates into the distinct aggregate calls, by name, and expressions over these names.

    Raises:
        TypeMismatchError: an expression has no aggregate, a column is outside an aggregate, or aggregates are nested.
    """
    calls: dict[str, AggregateCall] = {}
    known: dict[tuple[Any, ...], str] = {}
    results: dict[str, Expression] = {}
    for name, expression in named.items():
        if not any(node.function in AGGREGATE_FUNCTIONS for node in expression.walk()):
            raise TypeMismatchError(
                f"{expression.place}: `{name}` = `{expression}` is not an aggregate: add .sum, .max, .first_value, ..."
            )
        wanted = name if name not in calls else ""
        results[name] = _replaced(expression, wanted, set(named), calls, known)
    return calls, results


def _replaced(
    node: Expression,
    wanted: str,
    taken: set[str],
    calls: dict[str, AggregateCall],
    known: dict[tuple[Any, ...], str],
) -> Expression:
    if node.function == ALIAS:
        return _replaced(node.arguments[0], wanted, taken, calls, known)
    if node.function == COLUMN:
        raise TypeMismatchError(
            f"{node.place}: `{node}` is not inside an aggregate: use col('{node}').first_value, .max, ..."
        )
    inner = node.arguments[0] if node.function == DISTINCT else node
    if node.function == DISTINCT and inner.function not in AGGREGATE_FUNCTIONS:
        node = _distinct_inside(inner)
        inner = node
    if inner.function not in AGGREGATE_FUNCTIONS:
        arguments = tuple(_replaced(argument, "", taken, calls, known) for argument in node.arguments)
        return type(node)(node.function, arguments, node.parameters, node.place)
    identity = _normal(node).identity()
    if identity not in known:
        known[identity] = wanted or _free_name(len(calls), taken)
        calls[known[identity]] = _call_of(node)
    return type(node)(COLUMN, (), (known[identity],), node.place)


def _distinct_inside(node: Expression) -> Expression:
    """`distinct(f(sum(x)))` as `f(distinct(sum(x)))`, for all aggregates inside."""
    if node.function in AGGREGATE_FUNCTIONS:
        return node.call(DISTINCT, node)
    arguments = tuple(map(_distinct_inside, node.arguments))
    return type(node)(node.function, arguments, node.parameters, node.place)


def _normal(node: Expression) -> Expression:
    """`count(distinct(x))` in the form `distinct(count(x))`."""
    if node.function in AGGREGATE_FUNCTIONS and node.arguments and node.arguments[0].function == DISTINCT:
        arguments = (*node.arguments[0].arguments, *node.arguments[1:])
        return type(node)(
            DISTINCT, (type(node)(node.function, arguments, node.parameters, node.place),), (), node.place
        )
    return node


def _call_of(node: Expression) -> AggregateCall:
    node = _normal(node)
    is_distinct = node.function == DISTINCT
    aggregate = node.arguments[0] if is_distinct else node
    below = [inner for argument in aggregate.arguments for inner in argument.walk()]
    if any(inner.function in AGGREGATE_FUNCTIONS for inner in below):
        raise TypeMismatchError(f"{node.place}: `{node}`: an aggregate cannot contain an aggregate; aggregate twice")
    return AggregateCall(aggregate.function, aggregate.arguments, aggregate.parameters, is_distinct)


def _free_name(index: int, taken: set[str]) -> str:
    name = f"__aggregate{index}"
    while name in taken:
        name += "_"
    return name
