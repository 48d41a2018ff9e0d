"""Arrays as sets: search, distinct items, union, difference, intersection. Nulls are items like others."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.nested.arrays import list_and_item
from shmflink.expressions.nested.lists import Integers, Lists, codes_of, first_of_each, interleaved, list_of
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, function
from shmflink.expressions.types.coercions import alike
from shmflink.expressions.vectors import columnwise, fixed_width, typed, with_validity

__all__ = ["ArraySetMethods"]


class ArraySetMethods(Node):
    """Functions that compare the items of arrays. Null if an array is null; items keep their order."""

    __slots__ = ()

    def array_contains(self, needle: Any) -> Self:
        """Whether the item is in the array; a null item is allowed. NaN equals no item, as in Flink.

        >>> show(col("a").array_contains(2), a=[[1, 2], [3], None])
        _c0: [True, False, None]
        """
        return self.call("array_contains", self, needle)

    def array_position(self, needle: Any) -> Self:
        """Position of the first such item, counted from 1; 0 if there is none; null if the item is null.

        >>> show(col("a").array_position(2), a=[[1, 2, 2], [3]])
        _c0: [2, 0]
        """
        return self.call("array_position", self, needle)

    def array_remove(self, needle: Any) -> Self:
        """The array without any such items; a null item is allowed.

        >>> show(col("a").array_remove(2), a=[[1, 2, 2], [3]])
        _c0: [[1], [3]]
        """
        return self.call("array_remove", self, needle)

    def array_distinct(self) -> Self:
        """The distinct items, in the order of their first occurrence.

        >>> show(col("a").array_distinct(), a=[[2, 1, 2, None, None]])
        _c0: [[2, 1, None]]
        """
        return self.call("array_distinct", self)

    def array_union(self, array: Any) -> Self:
        """The items of both arrays, each once.

        >>> show(col("a").array_union(col("b")), a=[[1, 2, 1]], b=[[2, 3]])
        _c0: [[1, 2, 3]]
        """
        return self.call("array_union", self, array)

    def array_except(self, array: Any) -> Self:
        """The items that are not in the other array, each once.

        >>> show(col("a").array_except(col("b")), a=[[1, 2, 1]], b=[[2, 3]])
        _c0: [[1]]
        """
        return self.call("array_except", self, array)

    def array_intersect(self, array: Any) -> Self:
        """The items that are in both arrays, each once.

        >>> show(col("a").array_intersect(col("b")), a=[[1, 2, 2]], b=[[2, 3]])
        _c0: [[2]]
        """
        return self.call("array_intersect", self, array)


@function("array_contains", TypeFamily.LIST, TypeFamily.ANY, coerce=list_and_item)
@columnwise
def _array_contains(column: pa.Array, needle: pa.Array) -> pa.Array:
    lists = Lists.of(column)
    return with_validity(pa.array(lists.counted(_matches(lists, needle)) > 0), column)


@function("array_position", TypeFamily.LIST, TypeFamily.ANY, coerce=list_and_item)
@columnwise
def _array_position(column: pa.Array, needle: pa.Array) -> pa.Array:
    lists = Lists.of(column)
    found = np.flatnonzero(_matches(lists, needle))
    rows, first = np.unique(lists.parents[found], return_index=True)
    positions = np.zeros(lists.rows, np.int32)
    positions[rows] = lists.places[found[first]] + 1
    return with_validity(fixed_width(positions, column, pa.int32()), needle)


@function("array_remove", TypeFamily.LIST, TypeFamily.ANY, coerce=list_and_item)
@columnwise
def _array_remove(column: pa.Array, needle: pa.Array) -> pa.Array:
    lists = Lists.of(column)
    return lists.kept(~_matches(lists, needle))


@function("array_distinct", TypeFamily.LIST)
@columnwise
def _array_distinct(column: pa.Array) -> pa.Array:
    return _distinct(Lists.of(typed(column, pa.list_(pa.null()))))


@function("array_union", TypeFamily.LIST, TypeFamily.LIST, coerce=alike)
@columnwise
def _array_union(left: pa.Array, right: pa.Array) -> pa.Array:
    left, right = _typed_pair(left, right)
    together = list_of(*interleaved([Lists.of(left), Lists.of(right)]), left, right)
    return _distinct(Lists.of(together))


@function("array_except", TypeFamily.LIST, TypeFamily.LIST, coerce=alike)
@columnwise
def _array_except(left: pa.Array, right: pa.Array) -> pa.Array:
    return _chosen(left, right, is_in_both=False)


@function("array_intersect", TypeFamily.LIST, TypeFamily.LIST, coerce=alike)
@columnwise
def _array_intersect(left: pa.Array, right: pa.Array) -> pa.Array:
    return _chosen(left, right, is_in_both=True)


def _chosen(left: pa.Array, right: pa.Array, *, is_in_both: bool) -> pa.Array:
    left, right = _typed_pair(left, right)
    lists, others = Lists.of(left), Lists.of(right)
    keys, other_keys = _keys(lists, others)
    is_kept = np.zeros(len(keys), np.bool_)
    is_kept[first_of_each(keys)] = True
    return with_validity(lists.kept(is_kept & (np.isin(keys, other_keys) == is_in_both)), right)


def _distinct(lists: Lists) -> pa.Array:
    is_kept = np.zeros(len(lists.values), np.bool_)
    is_kept[first_of_each(_keys(lists)[0])] = True
    return lists.kept(is_kept)


def _keys(*lists: Lists) -> list[Integers]:
    """For the values of each, integers that are equal if both row and value are equal."""
    codes = codes_of(*(part.values for part in lists))
    width = 1 + max((int(numbers.max()) for numbers in codes if len(numbers)), default=0)
    return [part.parents * width + numbers for part, numbers in zip(lists, codes, strict=True)]


def _matches(lists: Lists, needle: pa.Array) -> npt.NDArray[np.bool_]:
    codes, wanted = codes_of(lists.values, needle)
    if pa.types.is_floating(needle.type):
        wanted[np.asarray(pc.fill_null(pc.is_nan(needle), False))] = -1
    matches: npt.NDArray[np.bool_] = codes == wanted[lists.parents]
    return matches


def _typed_pair(left: pa.Array, right: pa.Array) -> tuple[pa.Array, pa.Array]:
    return typed(left, pa.list_(pa.null())), typed(right, pa.list_(pa.null()))
