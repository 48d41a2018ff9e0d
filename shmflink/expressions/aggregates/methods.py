"""Aggregate functions, as methods of expressions."""

from __future__ import annotations

from typing import Any, Final, Self

from shmflink.errors import TypeMismatchError
from shmflink.expressions.aggregates.composite import filtered, weighted_percentile
from shmflink.expressions.node import LITERAL, Node

__all__ = ["AGGREGATE_FUNCTIONS", "DISTINCT", "AggregateMethods"]

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
DISTINCT: Final = "distinct"


class AggregateMethods(Node):
    """Aggregates of an expression over a group. They ignore nulls unless a function says otherwise."""

    __slots__ = ()

    @property
    def sum(self) -> Self:
        """Sum of the values; null if there is none. The sum of integers is a BIGINT (of uint64: uint64), of decimals a
        DECIMAL(38, s), of floats a DOUBLE. A sum that does not fit is an error that names the column, in any order of
        the rows.

        >>> col("price").sum
        <Expression sum(price)>
        """
        return self.call("sum", self)

    @property
    def sum0(self) -> Self:
        """Sum of the values; 0 if there is none.

        >>> col("price").sum0
        <Expression sum0(price)>
        """
        return self.call("sum0", self)

    @property
    def min(self) -> Self:
        """Smallest value; null if there is none.

        >>> col("price").min
        <Expression min(price)>
        """
        return self.call("min", self)

    @property
    def max(self) -> Self:
        """Greatest value; null if there is none.

        >>> col("price").max - col("price").min
        <Expression (max(price) - min(price))>
        """
        return self.call("max", self)

    @property
    def count(self) -> Self:
        """Number of values.

        >>> col("price").count
        <Expression count(price)>
        """
        return self.call("count", self)

    @property
    def avg(self) -> Self:
        """Mean of the values; null if there is none.

        The mean of integers of up to 32 bits is a DOUBLE. The mean of 64-bit integers, which a DOUBLE cannot represent
        exactly, has their type and is truncated toward zero: cast them to DOUBLE or a decimal for a fraction. The mean
        of decimals is a DECIMAL(38, max(s, 6)). It is always between the smallest and the greatest value: 64-bit
        integers are summed in 128 bits.

        >>> col("price").avg
        <Expression avg(price)>
        """
        return self.call("avg", self)

    @property
    def first_value(self) -> Self:
        """The first value in the order of arrival; null if there is none.

        >>> col("price").first_value
        <Expression first_value(price)>
        """
        return self.call("first_value", self)

    @property
    def last_value(self) -> Self:
        """The last value in the order of arrival; null if there is none.

        >>> col("price").last_value
        <Expression last_value(price)>
        """
        return self.call("last_value", self)

    @property
    def first(self) -> Self:
        """*shmflink only.* The same as `first_value`.

        >>> col("price").first
        <Expression first_value(price)>
        """
        return self.first_value

    @property
    def last(self) -> Self:
        """*shmflink only.* The same as `last_value`.

        >>> col("price").last
        <Expression last_value(price)>
        """
        return self.last_value

    def list_agg(self, separator: str | None = None) -> Self:
        """The strings of a group joined by a separator, "," by default; null if there is no string.

        >>> col("name").list_agg("; ")
        <Expression list_agg(name, '; ')>
        """
        return self.call("list_agg", self, parameters=("," if separator is None else _constant(separator, "list_agg"),))

    @property
    def stddev_pop(self) -> Self:
        """Standard deviation of a whole population.

        >>> col("price").stddev_pop
        <Expression stddev_pop(price)>
        """
        return self.call("stddev_pop", self)

    @property
    def stddev_samp(self) -> Self:
        """Standard deviation estimated from a sample; null for fewer than two values.

        >>> col("price").stddev_samp
        <Expression stddev_samp(price)>
        """
        return self.call("stddev_samp", self)

    @property
    def stddev(self) -> Self:
        """*shmflink only.* The same as `stddev_samp`.

        >>> col("price").stddev
        <Expression stddev_samp(price)>
        """
        return self.stddev_samp

    @property
    def var_pop(self) -> Self:
        """Variance of a whole population.

        >>> col("price").var_pop
        <Expression var_pop(price)>
        """
        return self.call("var_pop", self)

    @property
    def var_samp(self) -> Self:
        """Variance estimated from a sample; null for fewer than two values.

        >>> col("price").var_samp
        <Expression var_samp(price)>
        """
        return self.call("var_samp", self)

    @property
    def variance(self) -> Self:
        """*shmflink only.* The same as `var_samp`.

        >>> col("price").variance
        <Expression var_samp(price)>
        """
        return self.var_samp

    @property
    def collect(self) -> Self:
        """The values as a multiset: a map from each value to its number of occurrences.

        Ignores nulls; empty if there is no value.

        >>> col("price").collect
        <Expression multiset(collect(price))>
        """
        return self.call("multiset", self.call("collect", self))

    @property
    def array_agg(self) -> Self:
        """The values as an array, in the order of arrival, including nulls; null if there are no rows.

        >>> col("price").array_agg
        <Expression array_agg(price)>
        """
        return self.call("array_agg", self)

    def filter(self, condition: Any) -> Self:
        """*shmflink only* (SQL's FILTER). Restricts an aggregate to the rows for which the condition is true.

        >>> col("price").sum.filter(col("price") > 1)
        <Expression sum(if_then_else((price > 1), price, None))>
        """
        return filtered(self, condition, AGGREGATE_FUNCTIONS)

    @property
    def distinct(self) -> Self:
        """Makes an aggregate use each distinct value once. (`col("a").distinct.count` is the same.)

        >>> col("user").count.distinct
        <Expression distinct(count(user))>
        """
        return self.call(DISTINCT, self)

    @property
    def count_distinct(self) -> Self:
        """*shmflink only.* Number of distinct values, exactly.

        >>> col("user").count_distinct
        <Expression distinct(count(user))>
        """
        return self.count.distinct

    @property
    def approx_count_distinct(self) -> Self:
        """*shmflink only.* Approximate number of distinct values, in little memory (a few percent off).

        >>> col("user").approx_count_distinct
        <Expression approx_count_distinct(user)>
        """
        return self.call("approx_count_distinct", self)

    def percentile(self, percentage: Any, frequency: Any = None) -> Self:
        """The exact value at a fraction from 0 to 1 of the sorted values, interpolated; an array for several fractions.

        `frequency`: how often each value counts; values whose frequency is null or below 1 are ignored.

        >>> col("price").percentile(0.5), col("price").percentile([0.25, 0.75])
        (<Expression quantile(price, 0.5)>, <Expression quantile(price, [0.25, 0.75])>)
        """
        is_list = isinstance(percentage, (list, tuple))
        fractions = [_fraction(part) for part in (percentage if is_list else [percentage])]
        if frequency is not None:
            return weighted_percentile(self, fractions if is_list else fractions[0], frequency)
        if is_list:
            return self.call("quantile", self, parameters=(fractions,))
        return self.quantile(percentage)

    def quantile(self, q: float) -> Self:
        """*shmflink only.* The exact value at a fraction from 0 to 1 of the sorted values, interpolated, as a double.

        >>> col("price").quantile(0.9)
        <Expression quantile(price, 0.9)>
        """
        return self.call("quantile", self, parameters=(_fraction(q),))

    def approx_quantile(self, q: float) -> Self:
        """*shmflink only.* Approximate value at a fraction from 0 to 1 of the sorted values, in little memory.

        >>> col("price").approx_quantile(0.99)
        <Expression approx_quantile(price, 0.99)>
        """
        return self.call("approx_quantile", self, parameters=(_fraction(q),))

    @property
    def median(self) -> Self:
        """*shmflink only.* The middle value, as a double: the mean of the two in the middle of an even number.

        >>> col("price").median
        <Expression median(price)>
        """
        return self.call("median", self)

    def arg_min(self, by: Any) -> Self:
        """*shmflink only.* The value in the row where `by` is smallest; the first of several such rows.

        >>> col("shop").arg_min(col("price"))
        <Expression arg_min(shop, price)>
        """
        return self.call("arg_min", self, by)

    def arg_max(self, by: Any) -> Self:
        """*shmflink only.* The value in the row where `by` is greatest; the first of several such rows.

        >>> col("shop").arg_max(col("price"))
        <Expression arg_max(shop, price)>
        """
        return self.call("arg_max", self, by)

    def top_n(self, n: int, by: Any = None) -> Self:
        """*shmflink only.* An array of the values in the `n` rows with the greatest `by` (default: the value),
        descending.

        >>> col("shop").top_n(3, by=col("price"))
        <Expression top_n(shop, price, 3)>
        """
        number = _constant(n, "top_n")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise TypeMismatchError(f"top_n() of `{self}` takes a whole number of at least 1, got {number!r}")
        return self.call("top_n", self, self if by is None else by, parameters=(number,))

    @property
    def bool_and(self) -> Self:
        """*shmflink only.* Whether all values are true; null if there is none.

        >>> (col("price") > 0).bool_and
        <Expression bool_and((price > 0))>
        """
        return self.call("bool_and", self)

    @property
    def bool_or(self) -> Self:
        """*shmflink only.* Whether any value is true; null if there is none.

        >>> (col("price") > 9).bool_or
        <Expression bool_or((price > 9))>
        """
        return self.call("bool_or", self)


def _fraction(value: Any) -> float:
    fraction = _constant(value, "a quantile")
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
        raise TypeMismatchError(f"a quantile is a fraction from 0 to 1, got {fraction!r}")
    return float(fraction)


def _constant(value: Any, what: str) -> Any:
    """The Python value of a constant, which may be given as a `lit`."""
    if not isinstance(value, Node):
        return value
    if value.function != LITERAL:
        raise TypeMismatchError(f"{value.place}: {what} takes a constant, got `{value}`")
    return value.parameters[0].as_py()
