"""Order in arrays: sorting (NaN is greater than all numbers); the greatest and the smallest item."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.nested.lists import Integers, Lists
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, function
from shmflink.expressions.vectors import columnwise, literal_value, typed

__all__ = ["ArrayOrderMethods"]


class ArrayOrderMethods(Node):
    """Functions that order the items of arrays. Null if the array is null."""

    __slots__ = ()

    def array_sort(self, ascending_order: Any = None, null_first: Any = None) -> Self:
        """The sorted items, by default ascending; by default nulls are first if ascending, otherwise last.

        Both arguments are constants. NaN is greater than all numbers; Flink does not sort an array with NaN correctly.

        >>> show(col("a").array_sort(), col("a").array_sort(False), a=[[2, None, 3, 1]])
        _c0: [[None, 1, 2, 3]]
        _c1: [[3, 2, 1, None]]
        """
        is_ascending = _flag(ascending_order, default=True)
        return self.call("array_sort", self, parameters=(is_ascending, _flag(null_first, default=is_ascending)))

    def array_max(self) -> Self:
        """The greatest item that is not null; null if there is none.

        As in Flink, the result is NaN if NaN is the first item; otherwise NaN is ignored.

        >>> show(col("a").array_max(), a=[[1, None, 3], []])
        _c0: [3, None]
        """
        return self.call("array_max", self)

    def array_min(self) -> Self:
        """The smallest item that is not null; null if there is none. NaN as in `array_max`.

        >>> show(col("a").array_min(), a=[[1, None, 3], []])
        _c0: [1, None]
        """
        return self.call("array_min", self)


def _flag(value: Any, *, default: bool) -> bool:
    flag = literal_value(value, "the order of array_sort()")
    if flag is not None and not isinstance(flag, bool):
        raise TypeMismatchError(f"array_sort() takes True or False, got {flag!r}")
    return default if flag is None else flag


@function("array_sort", TypeFamily.LIST)
@columnwise
def _array_sort(column: pa.Array, is_ascending: bool, is_null_first: bool) -> pa.Array:
    lists = Lists.of(typed(column, pa.list_(pa.null())))
    ranks = _ranks(lists.values)
    count = len(ranks)
    if not is_ascending:
        ranks = count - ranks
    is_null = np.asarray(lists.values.is_null())
    ranks[is_null] = -1 if is_null_first else count + 1
    return lists.taken(np.argsort(lists.parents * (count + 3) + ranks, kind="stable"))


@function("array_max", TypeFamily.LIST)
@columnwise
def _array_max(column: pa.Array) -> pa.Array:
    return _extreme(column, np.maximum)


@function("array_min", TypeFamily.LIST)
@columnwise
def _array_min(column: pa.Array) -> pa.Array:
    return _extreme(column, np.minimum)


def _extreme(column: pa.Array, better: np.ufunc) -> pa.Array:
    lists = Lists.of(typed(column, pa.list_(pa.null())))
    if lists.values.null_count:
        lists = Lists.of(lists.kept(~np.asarray(lists.values.is_null())))
    if pa.types.is_floating(lists.values.type):
        lists = _without_nan(lists)
    ranks = _ranks(lists.values)
    is_empty = lists.lengths == 0
    chosen = np.zeros(lists.rows, np.int64)
    if len(ranks):
        by_rank = np.empty(len(ranks) + 1, np.int64)
        by_rank[ranks] = np.arange(len(ranks))
        chosen[~is_empty] = by_rank[better.reduceat(ranks, lists.offsets[:-1][~is_empty])]
    return lists.values.take(pa.array(chosen, mask=is_empty))


def _without_nan(lists: Lists) -> Lists:
    """Removes NaN, except as the first item: nothing is greater or less than it, so all others are sorted
    against it.
    """
    is_nan = np.asarray(pc.is_nan(lists.values))
    if not is_nan.any():
        return lists
    is_first = lists.places == 0
    starts_with_nan = np.zeros(lists.rows, np.bool_)
    starts_with_nan[lists.parents[is_first & is_nan]] = True
    return Lists.of(lists.kept(np.where(starts_with_nan[lists.parents], is_first, ~is_nan)))


def _ranks(values: pa.Array) -> Integers:
    """Ranks from 1 on in the order of the values; equal values have equal ranks; undefined for nulls."""
    if pa.types.is_nested(values.type):
        raise TypeError(f"items of type {values.type} cannot be ordered")
    if pa.types.is_null(values.type):
        return np.zeros(len(values), np.int64)
    return np.asarray(pc.rank(values, sort_keys="ascending", tiebreaker="dense")).astype(np.int64)
