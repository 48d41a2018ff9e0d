"""Aggregates composed of others, or of the lists that these collect: multisets, weighted percentiles, JSON, FILTER.

Such an aggregate is an expression over plain aggregates, which `split_aggregates` finds inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.nested.lists import Lists, list_of, stable_codes_of
from shmflink.expressions.nested.maps import map_of_entries
from shmflink.expressions.node import COLUMN, LITERAL, Node
from shmflink.expressions.registry import TypeFamily, function
from shmflink.expressions.vectors import columnwise, typed

__all__ = ["filtered", "weighted_percentile"]

_KEEPS_NULLS: Final = "array_agg"
_INT64_MAX: Final = 2**63 - 1

N = TypeVar("N", bound=Node)


def filtered(node: N, condition: Any, aggregates: frozenset[str]) -> N:
    """The expression, in which every aggregate uses only the rows for which the condition is true.

    Raises:
        TypeMismatchError: it contains no aggregate.
    """
    if not any(below.function in aggregates for below in node.walk()):
        raise TypeMismatchError(
            f"{node.place}: filter() of `{node}` is SQL's FILTER of an aggregate, as in col('x').sum.filter(...): "
            "to filter rows, use ds.filter(condition)"
        )
    return _filtered(node, condition, aggregates)


def _filtered(node: N, condition: Any, aggregates: frozenset[str]) -> N:
    if node.function == _KEEPS_NULLS:
        # This aggregate includes nulls: wrap values into rows of one field, so that the condition does not drop nulls.
        carried = node.call("if_then_else", condition, node.call("row", *node.arguments, parameters=(("f0",),)), None)
        return node.call("carried", node.call("collect", carried))
    if node.function in aggregates:
        first, *others = node.arguments or (1,)
        return type(node)(
            node.function,
            (node.call("if_then_else", condition, first, None), *others),
            node.parameters,
            node.place,
        )
    if node.function in (COLUMN, LITERAL):
        return node
    arguments = tuple(_filtered(argument, condition, aggregates) for argument in node.arguments)
    return type(node)(node.function, arguments, node.parameters, node.place)


def weighted_percentile(value: N, fractions: Any, frequency: Any) -> N:
    """The value at a fraction of the sorted values, each repeated by its frequency; null if the sum of the frequencies
    is 0 or exceeds 64 bits."""
    is_list = isinstance(fractions, (list, tuple))
    wanted = tuple(float(part) for part in (fractions if is_list else [fractions]))
    values = value.call("array_agg", value.call("cast", value, parameters=(pa.float64(),)))
    counts = value.call("array_agg", value.call("cast", frequency, parameters=(pa.int64(),)))
    return value.call("weighted_percentile", values, counts, parameters=(wanted, is_list))


@function("multiset", TypeFamily.LIST)
@columnwise
def _multiset(column: pa.Array) -> pa.Array:
    """A map from each item to its number of occurrences; -0.0 and 0.0 are two items, NaN is one."""
    lists = Lists.of(typed(column, pa.list_(pa.null())))
    codes = stable_codes_of(lists.values)
    together = lists.parents * (len(codes) + 1) + codes
    _, first, counts = np.unique(together, return_index=True, return_counts=True)
    order = np.argsort(first)
    lengths = np.bincount(lists.parents[first[order]], minlength=lists.rows)
    keys = lists.values.take(pa.array(first[order]))
    return map_of_entries(keys, pa.array(counts[order].astype(np.int32)), lengths, column)


@function("carried", TypeFamily.LIST)
@columnwise
def _carried(column: pa.Array) -> pa.Array:
    """The only field of the rows in each array; null if the array is null."""
    lists = Lists.of(column)
    fields = lists.values.field(0) if len(lists.values) else pa.array([], column.type.value_type.field(0).type)
    items = list_of(fields, lists.lengths)
    return pc.if_else(pa.array(lists.lengths > 0), items, pa.scalar(None, items.type))


@function("weighted_percentile", TypeFamily.LIST, TypeFamily.LIST)
@columnwise
def _weighted_percentile(values: pa.Array, counts: pa.Array, fractions: Sequence[float], is_list: bool) -> pa.Array:
    # A loop per group: each group is sorted as a whole, and there are few groups compared with rows.
    pairs = zip(_per_group(values, np.float64), _per_group(counts, np.int64), strict=True)
    found = [_percentiles(*value_and_valid, *count_and_valid, fractions) for value_and_valid, count_and_valid in pairs]
    if is_list:
        return pa.array(found, pa.list_(pa.float64()))
    return pa.array([None if each is None else each[0] for each in found], pa.float64())


def _per_group(column: pa.Array, kind: Any) -> list[tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]]:
    lists = Lists.of(column)
    is_valid = np.asarray(lists.values.is_valid())
    numbers = np.asarray(lists.values.fill_null(0)).astype(kind)
    bounds = zip(lists.offsets[:-1].tolist(), lists.offsets[1:].tolist(), strict=True)
    return [(numbers[start:end], is_valid[start:end]) for start, end in bounds]


def _percentiles(
    values: npt.NDArray[np.float64],
    is_value: npt.NDArray[np.bool_],
    counts: npt.NDArray[np.int64],
    is_count: npt.NDArray[np.bool_],
    fractions: Sequence[float],
) -> list[float] | None:
    counts_there = is_value & is_count & (counts > 0)
    order = np.argsort(values[counts_there], kind="stable")
    ordered = values[counts_there][order]
    ends = np.cumsum([0, *counts[counts_there][order].tolist()], dtype=object)[1:]
    if len(ordered) == 0 or ends[-1] > _INT64_MAX:
        return None
    total = int(ends[-1])
    reached = ends.astype(np.int64)

    def at(place: int) -> float:
        return float(ordered[np.searchsorted(reached, place, side="right")])

    found = []
    for fraction in fractions:
        place = fraction * (total - 1)
        low = int(place)
        share = place - low
        found.append(at(low) if share == 0 else at(low) * (1 - share) + at(low + 1) * share)
    return found


@function("json_object_agg", TypeFamily.LIST, TypeFamily.LIST)
@columnwise
def _json_object_agg(keys: pa.Array, values: pa.Array, omits_nulls: bool) -> pa.Array:
    lists, texts = Lists.of(typed(keys, pa.list_(pa.utf8()))), Lists.of(typed(values, pa.list_(pa.utf8())))
    if lists.values.null_count:
        raise ValueError("a key of json_object_agg() is null")
    labels = _core.json_string(lists.values.cast(pa.utf8()))
    codes = stable_codes_of(labels)
    if len(np.unique(lists.parents * (len(codes) + 1) + codes)) < len(codes):
        raise ValueError("a key of json_object_agg() occurs twice in a group")
    members = pc.binary_join_element_wise(labels, pc.fill_null(texts.values, "null"), ":")
    joined = list_of(members, lists.lengths)
    if omits_nulls:
        joined = Lists.of(joined).kept(np.asarray(texts.values.is_valid()))
    return pc.binary_join_element_wise("{", pc.binary_join(joined, ","), "}", "")


@function("json_array_agg", TypeFamily.LIST)
@columnwise
def _json_array_agg(texts: pa.Array) -> pa.Array:
    lists = Lists.of(typed(texts, pa.list_(pa.utf8())))
    joined = pc.binary_join(list_of(pc.fill_null(lists.values, "null"), lists.lengths), ",")
    return pc.binary_join_element_wise("[", joined, "]", "")
