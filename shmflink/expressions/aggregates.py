"""Aggregate functions: what an expression over a group is made of. Computed by `operators/aggregates/group.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shmflink.errors import TypeMismatchError
from shmflink.expressions.composite import filtered, weighted_percentile
from shmflink.expressions.node import ALIAS, COLUMN, LITERAL, Node, call

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["AGGREGATE_FUNCTIONS", "AggregateCall", "AggregateMethods", "count", "split_aggregates"]

AGGREGATE_FUNCTIONS: Final = frozenset(
    [
        "approx_count_distinct",
        "approx_quantile",
        "arg_max",
        "arg_min",
        "array_agg",
        "avg",
        "bool_and",
        "bool_or",
        "collect",
        "count",
        "first_value",
        "last_value",
        "list_agg",
        "max",
        "median",
        "min",
        "quantile",
        "stddev_pop",
        "stddev_samp",
        "sum",
        "sum0",
        "top_n",
        "var_pop",
        "var_samp",
    ]
)
_DISTINCT: Final = "distinct"


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """One aggregate of a group's rows.

    `count` without arguments counts rows. `arg_min`, `arg_max` and `top_n` have the value, then what it is ordered by.
    `parameters` are constants: the fraction of `quantile` and `approx_quantile`, the n of `top_n`, the separator of
    `list_agg`. `is_distinct`: each distinct value of the first argument counts once. `has_flink_types`: sums, averages
    and variances have the types and the arithmetic of Flink SQL (`SUM(INT)` is an INT and wraps around, `SUM(DECIMAL)`
    is null where it does not fit); else they are wide and exact (a BIGINT; an error where it does not fit).
    """

    function: str
    arguments: tuple[Expression, ...] = ()
    parameters: tuple[Any, ...] = ()
    is_distinct: bool = False
    has_flink_types: bool = False


class AggregateMethods:
    """Aggregates of an expression over a group. Nulls do not count unless a function says so."""

    __slots__ = ()

    @property
    def sum(self) -> Expression:
        """Sum of the values; null where there is none. Of integers a BIGINT (uint64 of uint64), of decimals a
        DECIMAL(38, s), of floats a DOUBLE; a sum that does not fit is an error that names the column.

        >>> col("price").sum
        <Expression sum(price)>
        """
        return call("sum", self)

    @property
    def sum0(self) -> Expression:
        """Sum of the values; 0 where there is none.

        >>> col("price").sum0
        <Expression sum0(price)>
        """
        return call("sum0", self)

    @property
    def min(self) -> Expression:
        """Least value; null where there is none.

        >>> col("price").min
        <Expression min(price)>
        """
        return call("min", self)

    @property
    def max(self) -> Expression:
        """Greatest value; null where there is none.

        >>> col("price").max - col("price").min
        <Expression (max(price) - min(price))>
        """
        return call("max", self)

    @property
    def count(self) -> Expression:
        """Number of values.

        >>> col("price").count
        <Expression count(price)>
        """
        return call("count", self)

    @property
    def avg(self) -> Expression:
        """Mean of the values; null where there is none.

        A DOUBLE of integers of up to 32 bits. Of 64-bit integers, which a DOUBLE cannot hold, a whole number of their
        type, cut towards zero: cast them to DOUBLE, or to a decimal, for a fraction. Of decimals a
        DECIMAL(38, max(s, 6)). It never lies outside of the values: 64-bit integers add up in 128 bits.

        >>> col("price").avg
        <Expression avg(price)>
        """
        return call("avg", self)

    @property
    def first_value(self) -> Expression:
        """The first value in the order of arrival; null where there is none.

        >>> col("price").first_value
        <Expression first_value(price)>
        """
        return call("first_value", self)

    @property
    def last_value(self) -> Expression:
        """The last value in the order of arrival; null where there is none.

        >>> col("price").last_value
        <Expression last_value(price)>
        """
        return call("last_value", self)

    @property
    def first(self) -> Expression:
        """*shmflink only.* The same as `first_value`.

        >>> col("price").first
        <Expression first_value(price)>
        """
        return self.first_value

    @property
    def last(self) -> Expression:
        """*shmflink only.* The same as `last_value`.

        >>> col("price").last
        <Expression last_value(price)>
        """
        return self.last_value

    def list_agg(self, separator: str | None = None) -> Expression:
        """The strings of a group joined by a separator, "," where none is given; null where there is no string.

        >>> col("name").list_agg("; ")
        <Expression list_agg(name, '; ')>
        """
        return call("list_agg", self, parameters=("," if separator is None else _constant(separator, "list_agg"),))

    @property
    def stddev_pop(self) -> Expression:
        """Standard deviation of a whole population.

        >>> col("price").stddev_pop
        <Expression stddev_pop(price)>
        """
        return call("stddev_pop", self)

    @property
    def stddev_samp(self) -> Expression:
        """Standard deviation estimated from a sample; null for fewer than two values.

        >>> col("price").stddev_samp
        <Expression stddev_samp(price)>
        """
        return call("stddev_samp", self)

    @property
    def stddev(self) -> Expression:
        """*shmflink only.* The same as `stddev_samp`.

        >>> col("price").stddev
        <Expression stddev_samp(price)>
        """
        return self.stddev_samp

    @property
    def var_pop(self) -> Expression:
        """Variance of a whole population.

        >>> col("price").var_pop
        <Expression var_pop(price)>
        """
        return call("var_pop", self)

    @property
    def var_samp(self) -> Expression:
        """Variance estimated from a sample; null for fewer than two values.

        >>> col("price").var_samp
        <Expression var_samp(price)>
        """
        return call("var_samp", self)

    @property
    def variance(self) -> Expression:
        """*shmflink only.* The same as `var_samp`.

        >>> col("price").variance
        <Expression var_samp(price)>
        """
        return self.var_samp

    @property
    def collect(self) -> Expression:
        """The values as a multiset: a map from each value to how often it is there.

        Nulls do not count; empty where there is no value.

        >>> col("price").collect
        <Expression multiset(collect(price))>
        """
        return call("multiset", call("collect", self))

    @property
    def array_agg(self) -> Expression:
        """The values as an array, in the order of arrival, with nulls; null for no rows.

        >>> col("price").array_agg
        <Expression array_agg(price)>
        """
        return call("array_agg", self)

    def filter(self, condition: Any) -> Expression:
        """*shmflink only* (SQL's FILTER). Of an aggregate: over the rows for which the condition is true.

        >>> col("price").sum.filter(col("price") > 1)
        <Expression sum(if_then_else((price > 1), price, None))>
        """
        return filtered(self, condition, AGGREGATE_FUNCTIONS)  # type: ignore[arg-type]  # every holder is an Expression

    @property
    def distinct(self) -> Expression:
        """Of an aggregate: over each distinct value once. (`col("a").distinct.count` is the same.)

        >>> col("user").count.distinct
        <Expression distinct(count(user))>
        """
        return call(_DISTINCT, self)

    @property
    def count_distinct(self) -> Expression:
        """*shmflink only.* Number of distinct values, exactly.

        >>> col("user").count_distinct
        <Expression distinct(count(user))>
        """
        return self.count.distinct

    @property
    def approx_count_distinct(self) -> Expression:
        """*shmflink only.* Number of distinct values, estimated in little memory (a few per cent off).

        >>> col("user").approx_count_distinct
        <Expression approx_count_distinct(user)>
        """
        return call("approx_count_distinct", self)

    def percentile(self, percentage: Any, frequency: Any = None) -> Expression:
        """The exact value at a fraction from 0 to 1 of the sorted values, interpolated; an array for several fractions.

        `frequency`: how often each value counts; values whose frequency is null or below 1 do not.

        >>> col("price").percentile(0.5), col("price").percentile([0.25, 0.75])
        (<Expression quantile(price, 0.5)>, <Expression quantile(price, [0.25, 0.75])>)
        """
        is_list = isinstance(percentage, (list, tuple))
        fractions = [_fraction(part) for part in (percentage if is_list else [percentage])]
        if frequency is not None:
            return weighted_percentile(self, fractions if is_list else fractions[0], frequency)  # type: ignore[arg-type]
        if is_list:
            return call("quantile", self, parameters=(fractions,))
        return self.quantile(percentage)

    def quantile(self, q: float) -> Expression:
        """*shmflink only.* The exact value at a fraction from 0 to 1 of the sorted values, interpolated, as a double.

        >>> col("price").quantile(0.9)
        <Expression quantile(price, 0.9)>
        """
        return call("quantile", self, parameters=(_fraction(q),))

    def approx_quantile(self, q: float) -> Expression:
        """*shmflink only.* About the value at a fraction from 0 to 1 of the sorted values, in little memory.

        >>> col("price").approx_quantile(0.99)
        <Expression approx_quantile(price, 0.99)>
        """
        return call("approx_quantile", self, parameters=(_fraction(q),))

    @property
    def median(self) -> Expression:
        """*shmflink only.* The middle value, as a double: the mean of the two in the middle of an even number.

        >>> col("price").median
        <Expression median(price)>
        """
        return call("median", self)

    def arg_min(self, by: Any) -> Expression:
        """*shmflink only.* The value in the row where `by` is least; the first of several such rows.

        >>> col("shop").arg_min(col("price"))
        <Expression arg_min(shop, price)>
        """
        return call("arg_min", self, by)

    def arg_max(self, by: Any) -> Expression:
        """*shmflink only.* The value in the row where `by` is greatest; the first of several such rows.

        >>> col("shop").arg_max(col("price"))
        <Expression arg_max(shop, price)>
        """
        return call("arg_max", self, by)

    def top_n(self, n: int, by: Any = None) -> Expression:
        """*shmflink only.* An array of the values in the `n` rows where `by` (else the value) is greatest, descending.

        >>> col("shop").top_n(3, by=col("price"))
        <Expression top_n(shop, price, 3)>
        """
        number = _constant(n, "top_n")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise TypeMismatchError(f"top_n() of `{self}` takes a whole number from 1 on, got {number!r}")
        return call("top_n", self, self if by is None else by, parameters=(number,))

    @property
    def bool_and(self) -> Expression:
        """*shmflink only.* Whether all values are true; null where there is none.

        >>> (col("price") > 0).bool_and
        <Expression bool_and((price > 0))>
        """
        return call("bool_and", self)

    @property
    def bool_or(self) -> Expression:
        """*shmflink only.* Whether some value is true; null where there is none.

        >>> (col("price") > 9).bool_or
        <Expression bool_or((price > 9))>
        """
        return call("bool_or", self)


def count(expression: Expression | None = None) -> Expression:
    """*shmflink only.* Number of rows, or of the values of `expression` that are not null.

    >>> count(), count(col("price"))
    (<Expression count()>, <Expression count(price)>)
    """
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
    results: dict[str, Expression] = {}
    for name, expression in named.items():
        if not any(node.function in AGGREGATE_FUNCTIONS for node in expression.walk()):
            raise TypeMismatchError(
                f"{expression.place}: `{name}` = `{expression}` has no aggregate: add .sum, .max, .first_value, ..."
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
    inner = node.arguments[0] if node.function == _DISTINCT else node
    if node.function == _DISTINCT and inner.function not in AGGREGATE_FUNCTIONS:
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
        return call(_DISTINCT, node)
    arguments = tuple(map(_distinct_inside, node.arguments))
    return type(node)(node.function, arguments, node.parameters, node.place)


def _normal(node: Expression) -> Expression:
    """`count(distinct(x))` in the form `distinct(count(x))`."""
    if node.function in AGGREGATE_FUNCTIONS and node.arguments and node.arguments[0].function == _DISTINCT:
        arguments = (*node.arguments[0].arguments, *node.arguments[1:])
        return type(node)(
            _DISTINCT, (type(node)(node.function, arguments, node.parameters, node.place),), (), node.place
        )
    return node


def _call_of(node: Expression) -> AggregateCall:
    node = _normal(node)
    is_distinct = node.function == _DISTINCT
    aggregate = node.arguments[0] if is_distinct else node
    below: list[Node] = [inner for argument in aggregate.arguments for inner in argument.walk()]
    if any(inner.function in AGGREGATE_FUNCTIONS for inner in below):
        raise TypeMismatchError(f"{node.place}: `{node}`: an aggregate inside an aggregate; aggregate twice")
    return AggregateCall(aggregate.function, aggregate.arguments, aggregate.parameters, is_distinct)


def _free_name(index: int, taken: set[str]) -> str:
    name = f"__aggregate{index}"
    while name in taken:
        name += "_"
    return name


def _fraction(value: Any) -> float:
    fraction = _constant(value, "a quantile")
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
        raise TypeMismatchError(f"a quantile is a fraction from 0 to 1, got {fraction!r}")
    return float(fraction)


def _constant(value: Any, what: str) -> Any:
    """The Python value of a constant given as itself or as `lit`."""
    if not isinstance(value, Node):
        return value
    if value.function != LITERAL:
        raise TypeMismatchError(f"{value.place}: {what} takes a constant, got `{value}`")
    return value.parameters[0].as_py()
