"""Comparisons. If a side is null, the result is null."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any, Final, Self

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.nested.equality import same_nested
from shmflink.expressions.node import LITERAL, Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.types.rules import are_date_and_timestamp, common_type, is_text
from shmflink.expressions.vectors import as_double

__all__ = ["ComparisonMethods", "comparable_types"]

_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}


class ComparisonMethods(Node):
    """Comparison operators. A string compared with a date, time or timestamp is parsed as one."""

    __slots__ = ()

    def __eq__(self, other: object) -> Self:  # type: ignore[override]
        """Whether both are equal; null if either is null.

        >>> show(col("a") == 1, a=[1, 2, None])
        _c0: [True, False, None]
        """
        return self.call("equals", self, other)

    def __ne__(self, other: object) -> Self:  # type: ignore[override]
        """Whether they differ; null if either is null.

        >>> show(col("a") != 1, a=[1, 2, None])
        _c0: [False, True, None]
        """
        return self.call("not_equals", self, other)

    def __lt__(self, other: Any) -> Self:
        """Whether it is less; null if either is null.

        >>> show(col("a") < 1.5, a=[1, 2, None])
        _c0: [True, False, None]
        """
        return self.call("less_than", self, other)

    def __le__(self, other: Any) -> Self:
        """Whether it is less or equal; null if either is null.

        >>> show(col("a") <= "b", a=["a", "b", "c"])
        _c0: [True, True, False]
        """
        return self.call("less_than_or_equal", self, other)

    def __gt__(self, other: Any) -> Self:
        """Whether it is greater; null if either is null.

        >>> show(col("a") > col("b"), a=[1, 2], b=[2, 1])
        _c0: [False, True]
        """
        return self.call("greater_than", self, other)

    def __ge__(self, other: Any) -> Self:
        """Whether it is greater or equal; null if either is null.

        >>> show(col("day") >= "2024-02-01", day=[datetime.date(2024, 1, 31), datetime.date(2024, 2, 1)])
        _c0: [False, True]
        """
        return self.call("greater_than_or_equal", self, other)

    def between(self, lower_bound: Any, upper_bound: Any, *, symmetric: bool = False) -> Self:
        """Whether it is between the bounds, both inclusive.

        `symmetric` (*shmflink only*; SQL's BETWEEN SYMMETRIC): the bounds may be given in any order.

        >>> show(col("a").between(2, 3), col("a").between(3, 2, symmetric=True), a=[1, 2, 3, 4, None])
        _c0: [False, True, True, False, None]
        _c1: [False, True, True, False, None]
        """
        if symmetric:
            return self.call("or", self.between(lower_bound, upper_bound), self.between(upper_bound, lower_bound))
        return self.call(
            "and",
            self.call("greater_than_or_equal", self, lower_bound),
            self.call("less_than_or_equal", self, upper_bound),
        )

    def not_between(self, lower_bound: Any, upper_bound: Any, *, symmetric: bool = False) -> Self:
        """Whether it is outside the bounds; `symmetric` as in `between`.

        >>> show(col("a").not_between(2, 3), a=[1, 2, 3, 4, None])
        _c0: [True, False, False, True, None]
        """
        if symmetric:
            return self.call(
                "and", self.not_between(lower_bound, upper_bound), self.not_between(upper_bound, lower_bound)
            )
        return self.call("or", self.call("less_than", self, lower_bound), self.call("greater_than", self, upper_bound))

    def is_distinct_from(self, other: Any) -> Self:
        """*shmflink only* (SQL's IS DISTINCT FROM). Whether they differ; null equals null, and the result is never
        null.

        >>> show(col("a").is_distinct_from(1), col("a").is_distinct_from(None), a=[1, 2, None])
        _c0: [False, True, True]
        _c1: [True, True, False]
        """
        return self.call("not", self.is_not_distinct_from(other))

    def is_not_distinct_from(self, other: Any) -> Self:
        """*shmflink only* (SQL's IS NOT DISTINCT FROM). Whether both are equal or both are null; never null.

        >>> show(col("a").is_not_distinct_from(col("b")), a=[1, 2, None], b=[1, None, None])
        _c0: [True, False, True]
        """
        return self.call("is_not_distinct", self, other)

    def in_(self, first_element: Any, *remaining_elements: Any) -> Self:
        """Whether it equals one of the elements. Null if it is null, or if no element equals it and one is null.

        A list, tuple or set of constants may be given instead of single elements (*shmflink only*). Constants are
        looked up in a set, as in Flink: there -0.0 differs from 0.0, unlike with `==`. Columns are compared by `==`.

        >>> show(col("a").in_(1, 3), a=[1, 2, None])
        _c0: [True, False, None]
        >>> show(col("a") == 0.0, col("a").in_(0.0), col("a").in_(0.0, -0.0), a=[0.0, -0.0])
        _c0: [True, True]
        _c1: [True, False]
        _c2: [True, True]
        """
        is_collection = isinstance(first_element, (list, tuple, set, frozenset)) and not remaining_elements
        elements = list(first_element) if is_collection else [first_element, *remaining_elements]
        if not elements:
            raise TypeMismatchError("in_() needs at least one element")
        if all(not isinstance(element, Node) or element.function == LITERAL for element in elements):
            return self.call("in", self, parameters=(_constants(elements),))
        return self.call("or", *(self.call("equals", self, element) for element in elements))


def _constants(elements: Sequence[Any]) -> pa.Array:
    """The elements as an array, including nulls."""
    values = [element.parameters[0].as_py() if isinstance(element, Node) else element for element in elements]
    integers = [value for value in values if type(value) is int]
    kind = None
    if integers and max(integers) >= 1 << 63:  # Arrow does not infer it
        kind = pa.uint64() if min(integers) >= 0 and max(integers) < 1 << 64 else pa.decimal128(38, 0)
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError) as error:
        raise TypeMismatchError(f"the elements of in_() must have one type: {error}") from None


def comparable_types(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """The types in which two values are compared. Raises `TypeError` if they cannot be compared.

    A constant number takes the column's type if its value fits, so that the column need not be cast.
    """
    left, right = kinds
    if is_text(left) and pa.types.is_temporal(right):
        return [right, right]
    if is_text(right) and pa.types.is_temporal(left):
        return [left, left]
    for mine, other, constant in ((left, right, constants[0]), (right, left, constants[1])):
        if constant is not None and pa.types.is_integer(mine) and pa.types.is_integer(other) and _fits(constant, other):
            return [other, other]
    common = None if are_date_and_timestamp(kinds, constants) else common_type(kinds)
    if common is None:
        raise TypeError(f"{left} and {right} cannot be compared: {_remedy(kinds, constants)}")
    return [common, common]


def _remedy(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> str:
    """What to write if two types cannot be compared: the constant in the other type, or a cast."""
    for (mine, constant), (other, others) in permutations(zip(kinds, constants, strict=True)):
        name = _cast_name(other)
        if is_text(mine) and name is not None:
            if constant is not None:
                return f"write the constant as a value of {name}, without quotes"
            if others is not None:
                return f"write the constant as the string '{others.as_py()}', or cast the string, .cast('{name}')"
            return f"cast the string, .cast('{name}')"
        if pa.types.is_date(mine) and pa.types.is_timestamp(other):
            return f"cast the date, .cast('{name}')"
    return "cast() one of them"


def _cast_name(kind: pa.DataType) -> str | None:
    """The name of this type for `cast`; None if several names are possible."""
    if pa.types.is_timestamp(kind):
        return f"{'TIMESTAMP' if kind.tz is None else 'TIMESTAMP_LTZ'}({_DIGITS[kind.unit]})"
    names = ((pa.types.is_integer, "BIGINT"), (pa.types.is_floating, "DOUBLE"), (pa.types.is_boolean, "BOOLEAN"))
    return next((name for is_kind, name in names if is_kind(kind)), None)


def _ordered_types(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """Like `comparable_types`, for types that have an order."""
    common = comparable_types(kinds, constants)
    if pa.types.is_nested(common[0]):
        raise TypeError(f"{common[0]} cannot be ordered: compare its fields or elements")
    return common


def _narrowed(elements: pa.Array, kind: pa.DataType, common: pa.DataType) -> tuple[pa.DataType, pa.DataType]:
    try:
        elements.cast(kind)
    except pa.ArrowInvalid:
        return common, common
    return kind, kind


def _fits(constant: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        constant.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


@function("equals", TypeFamily.ANY, TypeFamily.ANY, coerce=comparable_types)
def _equals(left: Values, right: Values) -> Values:
    if pa.types.is_nested(left.type):
        return same_nested(left, right)
    return pc.equal(left, right)


@function("is_not_distinct", TypeFamily.ANY, TypeFamily.ANY, coerce=comparable_types)
def _is_not_distinct(left: Values, right: Values) -> Values:
    both_null = pc.and_(pc.is_null(left), pc.is_null(right))
    return pc.or_(both_null, pc.fill_null(_equals(left, right), False))


@function("null_if", TypeFamily.ANY, TypeFamily.ANY)
def _null_if(value: Values, other: Values) -> Values:
    left, right = (_as(each, kind) for each, kind in zip((value, other), _types_of(value, other), strict=True))
    is_equal = pc.fill_null(_equals(left, right), False)
    return pc.if_else(is_equal, pa.scalar(None, value.type), value)


def _types_of(*values: Values) -> list[pa.DataType]:
    return comparable_types([value.type for value in values], [None] * len(values))


@function("not_equals", TypeFamily.ANY, TypeFamily.ANY, coerce=comparable_types)
def _not_equals(left: Values, right: Values) -> Values:
    if pa.types.is_nested(left.type):
        return pc.invert(same_nested(left, right))
    return pc.not_equal(left, right)


@function("less_than", TypeFamily.COMPARABLE, TypeFamily.COMPARABLE, coerce=_ordered_types)
def _less_than(left: Values, right: Values) -> Values:
    return pc.less(left, right)


@function("less_than_or_equal", TypeFamily.COMPARABLE, TypeFamily.COMPARABLE, coerce=_ordered_types)
def _less_than_or_equal(left: Values, right: Values) -> Values:
    return pc.less_equal(left, right)


@function("greater_than", TypeFamily.COMPARABLE, TypeFamily.COMPARABLE, coerce=_ordered_types)
def _greater_than(left: Values, right: Values) -> Values:
    return pc.greater(left, right)


@function("greater_than_or_equal", TypeFamily.COMPARABLE, TypeFamily.COMPARABLE, coerce=_ordered_types)
def _greater_than_or_equal(left: Values, right: Values) -> Values:
    return pc.greater_equal(left, right)


@function("in", TypeFamily.COMPARABLE)
def _in(values: Values, elements: pa.Array) -> Values:
    kind, wanted = _element_types(values.type, elements.type)
    are_integers = pa.types.is_integer(values.type) and pa.types.is_integer(elements.type)
    if are_integers and not kind.equals(values.type):
        # Elements of another width are cast to the column's type if they fit, so that the column need not be cast.
        kind, wanted = _narrowed(elements, values.type, kind)
    found = _found(_as(values, kind), _as(elements.drop_null(), wanted))
    unknown = pc.is_null(values)
    if elements.null_count:
        unknown = pc.or_(unknown, pc.invert(found))
    return pc.if_else(unknown, pa.scalar(None, pa.bool_()), found)


def _element_types(kind: pa.DataType, elements: pa.DataType) -> list[pa.DataType]:
    if pa.types.is_date(kind) != pa.types.is_date(elements):
        common = common_type([kind, elements])  # constant dates may be compared with timestamps
        if common is not None:
            return [common, common]
    return comparable_types([kind, elements], [None, None])


def _found(values: Values, elements: pa.Array) -> Values:
    """NaN equals no element; -0.0 differs from 0.0, as in Flink's sets of constants."""
    if pa.types.is_floating(elements.type):
        elements = elements.filter(pc.invert(pc.is_nan(elements)))
    return pc.is_in(values, value_set=elements)


def _as(values: Values, kind: pa.DataType) -> Values:
    if values.type.equals(kind):
        return values
    return as_double(values) if pa.types.is_float64(kind) else pc.cast(values, kind)
