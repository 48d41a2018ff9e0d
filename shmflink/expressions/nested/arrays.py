"""Arrays: access, building, parts. (Sets, sorting and extremes: `array_sets`, `array_order`.)

Positions count from 1, as in SQL. Null if the array is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.nested.lists import Integers, Lists, interleaved, list_of
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.types.coercions import alike
from shmflink.expressions.types.rules import common_type, is_text
from shmflink.expressions.vectors import columnwise, typed, with_validity

__all__ = ["ArrayMethods", "list_and_item"]


class ArrayMethods(Node):
    """Functions of arrays."""

    __slots__ = ()

    def at(self, index: Any) -> Self:
        """The item at a position of an array, or the value of a key of a map; null if there is none.

        >>> show(col("a").at(1), map_("x", col("n")).at("x"), a=[[7, 8], []], n=[1, None])
        _c0: [7, None]
        _c1: [1, None]
        """
        return self.call("at", self, index)

    def __getitem__(self, index: Any) -> Self:
        """The same as `at`.

        >>> show(col("a")[2], a=[[7, 8], []])
        _c0: [8, None]
        """
        return self.call("at", self, index)

    @property
    def cardinality(self) -> Self:
        """Number of items of an array, of entries of a map, as int32.

        >>> show(col("a").cardinality, a=[[7, None], [], None])
        _c0: [2, 0, None]
        """
        return self.call("cardinality", self)

    @property
    def element(self) -> Self:
        """The only item of an array; null if it is empty, an error if it has several.

        >>> show(col("a").element, a=[[7], []])
        _c0: [7, None]
        """
        return self.call("element", self)

    def array_append(self, addition: Any) -> Self:
        """The array with an item at its end; the item may be null.

        >>> show(col("a").array_append(9), a=[[7], [], None])
        _c0: [[7, 9], [9], None]
        """
        return self.call("array_append", self, addition)

    def array_prepend(self, addition: Any) -> Self:
        """The array with an item before the others; the item may be null.

        >>> show(col("a").array_prepend(9), a=[[7], None])
        _c0: [[9, 7], None]
        """
        return self.call("array_prepend", self, addition)

    def array_concat(self, *arrays: Any) -> Self:
        """The concatenated arrays; null if one of them is null.

        >>> show(col("a").array_concat(col("b"), col("a")), a=[[1], [2]], b=[[5, 6], None])
        _c0: [[1, 5, 6, 1], None]
        """
        return self.call("array_concat", self, *arrays)

    def array_reverse(self) -> Self:
        """The items from last to first.

        >>> show(col("a").array_reverse(), a=[[1, 2, 3], None])
        _c0: [[3, 2, 1], None]
        """
        return self.call("array_reverse", self)

    def array_slice(self, start_offset: Any, end_offset: Any = None) -> Self:
        """The items from one position to another, both inclusive; negative ones count from the end, 0 is the first.

        Null if a position is null.

        >>> show(col("a").array_slice(2), col("a").array_slice(-2, -1), a=[[1, 2, 3], [4]])
        _c0: [[2, 3], []]
        _c1: [[2, 3], [4]]
        """
        return self.call("array_slice", self, start_offset, *([] if end_offset is None else [end_offset]))

    def array_join(self, delimiter: Any, null_replacement: Any = None) -> Self:
        """The strings of the array, joined by a delimiter; nulls are omitted or replaced.

        >>> show(col("a").array_join("-"), col("a").array_join("-", "?"), a=[["x", None, "y"], []])
        _c0: ['x-y', '']
        _c1: ['x-?-y', '']
        """
        return self.call("array_join", self, delimiter, *([] if null_replacement is None else [null_replacement]))


def list_and_item(kinds: Sequence[pa.DataType], constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    """The types of an array and an item: the item is cast to the items' type; a column only from a narrower type."""
    items = kinds[1] if pa.types.is_null(kinds[0]) else kinds[0].value_type
    common = common_type([items, kinds[1]])
    if common is None or not (common.equals(items) or is_text(items) or _is_within(constants[1], items)):
        raise TypeError(f"an array of {items} cannot contain an item of type {kinds[1]}: cast() one of them")
    return [pa.list_(items), items]


def _is_within(constant: pa.Scalar | None, kind: pa.DataType) -> bool:
    """Whether it is a constant that this type represents without loss."""
    try:
        return constant is not None and bool(constant.cast(kind).is_valid or not constant.is_valid)
    except pa.ArrowInvalid:
        return False


def _at_types(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    if pa.types.is_map(kinds[0]):
        return [kinds[0], kinds[0].key_type]
    if not (pa.types.is_null(kinds[1]) or pa.types.is_integer(kinds[1])):
        raise TypeError("a position in an array is a whole number")
    return [kinds[0], pa.int64()]


@function("at", TypeFamily.ANY, TypeFamily.ANY, coerce=_at_types)
def _at(container: Values, index: Values) -> Values:
    if pa.types.is_map(container.type):
        from shmflink.expressions.nested.maps import value_of_key

        return value_of_key(container, index)
    if not TypeFamily.LIST.accepts(container.type):
        raise TypeError("it takes an array or a map; use .get('name') for the field of a row")
    if isinstance(index, pa.Scalar) and index.is_valid and index.as_py() < 1:
        raise TypeError("positions in an array count from 1")
    return _item(typed(container, pa.list_(pa.null())), index)


@columnwise
def _item(container: pa.Array, index: pa.Array) -> pa.Array:
    lists = Lists.of(container)
    places = np.asarray(index.fill_null(0)) - 1
    is_there = (places >= 0) & (places < lists.lengths)
    return lists.values.take(pa.array(lists.offsets[:-1] + places, mask=~is_there))


@function("cardinality", TypeFamily.ANY)
def _cardinality(container: Values) -> Values:
    if pa.types.is_map(container.type):
        from shmflink.expressions.nested.maps import entries_of

        container = entries_of(container)
    elif not TypeFamily.LIST.accepts(container.type):
        raise TypeError("it takes an array or a map")
    return pc.cast(pc.list_value_length(typed(container, pa.list_(pa.null()))), pa.int32())


@function("element", TypeFamily.LIST)
@columnwise
def _element(column: pa.Array) -> pa.Array:
    lists = Lists.of(typed(column, pa.list_(pa.null())))
    if np.any(lists.lengths > 1):
        raise ValueError(f"element takes arrays of one item, got one with {lists.lengths.max()}")
    return lists.values.take(pa.array(lists.offsets[:-1], mask=lists.lengths == 0))


@function("array", TypeFamily.ANY, variadic=True, coerce=alike)
@columnwise
def _array(*columns: pa.Array) -> pa.Array:
    rows = len(columns[0])
    order = np.arange(rows)[:, None] + rows * np.arange(len(columns))
    return list_of(pa.concat_arrays(columns).take(pa.array(order.ravel())), np.full(rows, len(columns)))


@function("array_append", TypeFamily.LIST, TypeFamily.ANY, coerce=list_and_item)
@columnwise
def _array_append(column: pa.Array, addition: pa.Array) -> pa.Array:
    return list_of(*interleaved([Lists.of(column), _ones(addition)]), column)


@function("array_prepend", TypeFamily.LIST, TypeFamily.ANY, coerce=list_and_item)
@columnwise
def _array_prepend(column: pa.Array, addition: pa.Array) -> pa.Array:
    return list_of(*interleaved([_ones(addition), Lists.of(column)]), column)


def _ones(items: pa.Array) -> Lists:
    """Arrays with one item each."""
    rows = len(items)
    return Lists(items, np.ones(rows, np.int64), np.arange(rows + 1), items)


@function("array_concat", TypeFamily.LIST, variadic=True, coerce=alike)
@columnwise
def _array_concat(*columns: pa.Array) -> pa.Array:
    columns = tuple(typed(column, pa.list_(pa.null())) for column in columns)
    return list_of(*interleaved([Lists.of(column) for column in columns]), *columns)


@function("array_reverse", TypeFamily.LIST)
@columnwise
def _array_reverse(column: pa.Array) -> pa.Array:
    lists = Lists.of(typed(column, pa.list_(pa.null())))
    return lists.taken(np.repeat(lists.offsets[1:] - 1, lists.lengths) - lists.places)


@function("array_slice", TypeFamily.LIST, TypeFamily.INTEGER, TypeFamily.INTEGER, optional=1)
@columnwise
def _array_slice(column: pa.Array, start: pa.Array, end: pa.Array | None = None) -> pa.Array:
    lists = Lists.of(typed(column, pa.list_(pa.null())))
    first = _from_zero(start, lists.lengths)
    behind = lists.lengths if end is None else np.minimum(_from_zero(end, lists.lengths) + 1, lists.lengths)
    first = np.maximum(first, 0)
    lengths = np.maximum(behind - first, 0)
    nulls = [column, start] + ([] if end is None else [end])
    starts = np.repeat(lists.offsets[:-1] + first - (np.cumsum(lengths) - lengths), lengths)
    return list_of(lists.values.take(pa.array(starts + np.arange(len(starts)))), lengths, *nulls)


def _from_zero(positions: pa.Array, lengths: Integers) -> Integers:
    numbers = np.asarray(positions.fill_null(1).cast(pa.int64()))
    return np.where(numbers > 0, numbers - 1, np.where(numbers < 0, lengths + numbers, 0))


def _join_types(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    if (
        TypeFamily.LIST.accepts(kinds[0])
        and not pa.types.is_null(kinds[0])
        and not TypeFamily.STRING.accepts(kinds[0].value_type)
    ):
        raise TypeError(f"it takes an array of strings, not of {kinds[0].value_type}")
    return [pa.list_(pa.utf8())] + [pa.utf8()] * (len(kinds) - 1)


@function("array_join", TypeFamily.LIST, TypeFamily.STRING, TypeFamily.STRING, optional=1, coerce=_join_types)
@columnwise
def _array_join(column: pa.Array, delimiter: pa.Array, replacement: pa.Array | None = None) -> pa.Array:
    lists = Lists.of(column)
    if replacement is None:
        return pc.binary_join(lists.kept(~np.asarray(lists.values.is_null())), delimiter)
    filled = pc.coalesce(lists.values, replacement.take(pa.array(lists.parents)))
    return with_validity(pc.binary_join(list_of(filled, lists.lengths, column), delimiter), replacement)
