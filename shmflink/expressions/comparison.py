"""Comparisons. Where a side is null, so is the result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.errors import TypeMismatchError
from shmflink.expressions.node import LITERAL, Node, call
from shmflink.expressions.registry import Kind, Values, function
from shmflink.expressions.type_rules import common_type, is_text

if TYPE_CHECKING:
    from shmflink.expressions.expression import Expression

__all__ = ["ComparisonMethods", "comparable_types"]


class ComparisonMethods:
    """Operators that compare. A string beside a date, time or timestamp is read as one."""

    __slots__ = ()

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        """Whether both are equal; null if either is null.

        >>> show(col("a") == 1, a=[1, 2, None])
        _c0: [True, False, None]
        """
        return call("equals", self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        """Whether they differ; null if either is null.

        >>> show(col("a") != 1, a=[1, 2, None])
        _c0: [False, True, None]
        """
        return call("not_equals", self, other)

    def __lt__(self, other: Any) -> Expression:
        """Whether it is less; null if either is null.

        >>> show(col("a") < 1.5, a=[1, 2, None])
        _c0: [True, False, None]
        """
        return call("less_than", self, other)

    def __le__(self, other: Any) -> Expression:
        """Whether it is less or equal; null if either is null.

        >>> show(col("a") <= "b", a=["a", "b", "c"])
        _c0: [True, True, False]
        """
        return call("less_than_or_equal", self, other)

    def __gt__(self, other: Any) -> Expression:
        """Whether it is greater; null if either is null.

        >>> show(col("a") > col("b"), a=[1, 2], b=[2, 1])
        _c0: [False, True]
        """
        return call("greater_than", self, other)

    def __ge__(self, other: Any) -> Expression:
        """Whether it is greater or equal; null if either is null.

        >>> show(col("day") >= "2024-02-01", day=[datetime.date(2024, 1, 31), datetime.date(2024, 2, 1)])
        _c0: [False, True]
        """
        return call("greater_than_or_equal", self, other)

    def between(self, lower_bound: Any, upper_bound: Any) -> Expression:
        """Whether it lies between the bounds, both included.

        >>> show(col("a").between(2, 3), a=[1, 2, 3, 4, None])
        _c0: [False, True, True, False, None]
        """
        return call(
            "and", call("greater_than_or_equal", self, lower_bound), call("less_than_or_equal", self, upper_bound)
        )

    def not_between(self, lower_bound: Any, upper_bound: Any) -> Expression:
        """Whether it lies outside of the bounds.

        >>> show(col("a").not_between(2, 3), a=[1, 2, 3, 4, None])
        _c0: [True, False, False, True, None]
        """
        return call("or", call("less_than", self, lower_bound), call("greater_than", self, upper_bound))

    def in_(self, first_element: Any, *remaining_elements: Any) -> Expression:
        """Whether it equals one of the elements. Null if it is null, or if it is found nowhere but an element is null.

        One list, tuple or set of constants may be given instead of single elements (*shmflink only*).

        >>> show(col("a").in_(1, 3), a=[1, 2, None])
        _c0: [True, False, None]
        """
        is_collection = isinstance(first_element, (list, tuple, set, frozenset)) and not remaining_elements
        elements = list(first_element) if is_collection else [first_element, *remaining_elements]
        if not elements:
            raise TypeMismatchError("in_() needs at least one element")
        if all(not isinstance(element, Node) or element.function == LITERAL for element in elements):
            return call("in", self, parameters=(_constants(elements),))
        return call("or", *(call("equals", self, element) for element in elements))


def _constants(elements: Sequence[Any]) -> pa.Array:
    """The elements as an array, nulls kept."""
    values = [element.parameters[0].as_py() if isinstance(element, Node) else element for element in elements]
    integers = [value for value in values if type(value) is int]
    kind = None
    if integers and max(integers) >= 1 << 63:  # which Arrow does not infer
        kind = pa.uint64() if min(integers) >= 0 and max(integers) < 1 << 64 else pa.decimal128(38, 0)
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, OverflowError) as error:
        raise TypeMismatchError(f"in_() takes elements of one type: {error}") from None


def comparable_types(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """The types in which two values are compared. Raises `TypeError` where they cannot be.

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
    common = common_type(kinds)
    if common is None:
        raise TypeError(f"{left} and {right} cannot be compared: cast() one of them")
    if pa.types.is_nested(common):
        raise TypeError(f"{common} has no order and no equality: compare its fields or elements")
    return [common, common]


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


@function("equals", Kind.ANY, Kind.ANY, coerce=comparable_types)
def _equals(left: Values, right: Values) -> Values:
    return pc.equal(left, right)


@function("not_equals", Kind.ANY, Kind.ANY, coerce=comparable_types)
def _not_equals(left: Values, right: Values) -> Values:
    return pc.not_equal(left, right)


@function("less_than", Kind.COMPARABLE, Kind.COMPARABLE, coerce=comparable_types)
def _less_than(left: Values, right: Values) -> Values:
    return pc.less(left, right)


@function("less_than_or_equal", Kind.COMPARABLE, Kind.COMPARABLE, coerce=comparable_types)
def _less_than_or_equal(left: Values, right: Values) -> Values:
    return pc.less_equal(left, right)


@function("greater_than", Kind.COMPARABLE, Kind.COMPARABLE, coerce=comparable_types)
def _greater_than(left: Values, right: Values) -> Values:
    return pc.greater(left, right)


@function("greater_than_or_equal", Kind.COMPARABLE, Kind.COMPARABLE, coerce=comparable_types)
def _greater_than_or_equal(left: Values, right: Values) -> Values:
    return pc.greater_equal(left, right)


@function("in", Kind.COMPARABLE)
def _in(values: Values, elements: pa.Array) -> Values:
    kind, wanted = comparable_types([values.type, elements.type], [None, None])
    are_integers = pa.types.is_integer(values.type) and pa.types.is_integer(elements.type)
    if are_integers and not kind.equals(values.type):
        # Elements of other widths than the column are compared in its own, where they fit: the column need not be cast.
        kind, wanted = _narrowed(elements, values.type, kind)
    found = pc.is_in(_as(values, kind), value_set=_as(elements.drop_null(), wanted))
    unknown = pc.is_null(values)
    if elements.null_count:
        unknown = pc.or_(unknown, pc.invert(found))
    return pc.if_else(unknown, pa.scalar(None, pa.bool_()), found)


def _as(values: Values, kind: pa.DataType) -> Values:
    return values if values.type.equals(kind) else pc.cast(values, kind)
