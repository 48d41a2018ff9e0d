"""Maps: building, keys, values, entries, union. If a key is given twice, the last value counts.

No key is null: Arrow's maps, unlike Flink's, have no null keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from shmflink import _core
from shmflink.errors import TypeMismatchError
from shmflink.expressions.nested.lists import Integers, Lists, codes_of, interleaved, list_of
from shmflink.expressions.node import Node
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.types.coercions import each
from shmflink.expressions.types.rules import common_type
from shmflink.expressions.vectors import columnwise, literal_value, validity_of

__all__ = ["MapMethods", "entries_of", "map_of_entries", "value_of_key"]

_NOTHING: Final = pa.map_(pa.utf8(), pa.utf8())  # the type of nulls without a type


class MapMethods(Node):
    """Functions of maps. Null if the map is null."""

    __slots__ = ()

    @property
    def map_keys(self) -> Self:
        """The keys as an array.

        >>> show(map_("x", col("a"), "y", 2).map_keys, a=[1])
        _c0: [['x', 'y']]
        """
        return self.call("map_keys", self)

    @property
    def map_values(self) -> Self:
        """The values as an array, in the order of `map_keys`.

        >>> show(map_("x", col("a"), "y", 2).map_values, a=[1])
        _c0: [[1, 2]]
        """
        return self.call("map_values", self)

    @property
    def map_entries(self) -> Self:
        """The entries as an array of rows with the fields `key` and `value`.

        >>> show(map_("x", col("a")).map_entries, a=[1])
        _c0: [[{'key': 'x', 'value': 1}]]
        """
        return self.call("map_entries", self)

    def map_union(self, *maps: Any) -> Self:
        """The entries of all maps; null if one of them is null. For equal keys, the later map's value counts.

        >>> show(map_("x", col("a"), "y", 2).map_union(map_("y", 9)), a=[1])
        _c0: [[('x', 1), ('y', 9)]]
        """
        return self.call("map_union", self, *maps)

    def str_to_map(self, list_delimiter: Any = None, key_value_delimiter: Any = None) -> Self:
        """Parses a map of strings; the default delimiters are `,` between pairs and `=` between key and value.

        Delimiters are constants and regular expressions, as in Java's `String.split`: `|` separates all characters. A
        pair without the second delimiter has the value null.

        >>> show(col("a").str_to_map(), col("b").str_to_map(";", ":"), a=["x=1,y=2"], b=["x:1;y"])
        _c0: [[('x', '1'), ('y', '2')]]
        _c1: [[('x', '1'), ('y', None)]]
        """
        delimiters = (",", "=")
        if list_delimiter is not None and key_value_delimiter is not None:
            delimiters = literal_value(list_delimiter, "a delimiter"), literal_value(key_value_delimiter, "a delimiter")
        if not all(isinstance(delimiter, str) and delimiter for delimiter in delimiters):
            raise TypeMismatchError(f"str_to_map() takes strings as delimiters, got {delimiters!r}")
        return self.call("str_to_map", self, parameters=delimiters)


def entries_of(container: Values) -> Values:
    """A map as an array of rows with the fields `key` and `value`, without a copy of the entries."""
    if isinstance(container, pa.Scalar):
        return _entries(pa.repeat(container, 1))[0]
    return _entries(container)


@columnwise
def value_of_key(container: pa.Array, key: pa.Array) -> pa.Array:
    """For each row, the value of its key in its map; null if there is none."""
    lists = Lists.of(_entries(container))
    keys, values = _parts(lists.values)
    codes, wanted = codes_of(keys, key)
    found = np.flatnonzero(codes == wanted[lists.parents])
    places = np.full(lists.rows, -1, np.int64)
    places[lists.parents[found]] = found  # the last of equal keys counts
    return values.take(pa.array(places, mask=places < 0))


def _entries(column: pa.Array) -> pa.Array:
    if pa.types.is_null(column.type):
        column = column.cast(_NOTHING)
    kind = column.type
    entries = pa.struct([pa.field("key", kind.key_type), pa.field("value", kind.item_type)])
    return column.cast(pa.list_(entries))


def _parts(entries: pa.Array) -> tuple[pa.Array, pa.Array]:
    return entries.field(0), entries.field(1)


def _map_of(keys: pa.Array, values: pa.Array, lengths: Integers, *null_like: pa.Array) -> pa.Array:
    """A column of maps over consecutive entries. Equal keys in a row keep the first position and the last value."""
    if keys.null_count:
        raise ValueError("a key of a map is null")
    if len(keys):
        parents = np.repeat(np.arange(len(lengths)), lengths)
        codes = codes_of(keys)[0]
        together = parents * (int(codes.max()) + 1) + codes
        distinct, first = np.unique(together, return_index=True)
        if len(distinct) < len(keys):
            last = len(keys) - 1 - np.unique(together[::-1], return_index=True)[1]
            order = np.argsort(first)
            keys, values = keys.take(pa.array(first[order])), values.take(pa.array(last[order]))
            lengths = np.bincount(parents[first], minlength=len(lengths))
    return map_of_entries(keys, values, lengths, *null_like)


def map_of_entries(keys: pa.Array, values: pa.Array, lengths: Integers, *null_like: pa.Array) -> pa.Array:
    """A column of maps over consecutive entries, whose keys are not null and distinct within each row."""
    lists = list_of(keys, lengths, *null_like)
    kind = pa.map_(keys.type, values.type)
    entries = pa.StructArray.from_arrays([keys, values], fields=[kind.key_field, kind.item_field])
    offsets = lists.buffers()[1]
    return pa.Array.from_buffers(kind, len(lengths), [validity_of(lists), offsets], children=[entries])


def _pair_types(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    common = [common_type(kinds[0::2]), common_type(kinds[1::2])]
    if None in common:
        raise TypeError("all keys must have one type, and so must all values: cast() some of them")
    return [kind for kind in common if kind is not None] * (len(kinds) // 2)


@function("map", TypeFamily.ANY, TypeFamily.ANY, variadic=True, coerce=_pair_types)
@columnwise
def _map(*columns: pa.Array) -> pa.Array:
    pairs, rows = len(columns) // 2, len(columns[0])
    order = pa.array((np.arange(rows)[:, None] + rows * np.arange(pairs)).ravel())
    keys, values = (pa.concat_arrays(columns[start::2]).take(order) for start in (0, 1))
    return _map_of(keys, values, np.full(rows, pairs))


@function("map_from_arrays", TypeFamily.LIST, TypeFamily.LIST)
@columnwise
def _map_from_arrays(keys: pa.Array, values: pa.Array) -> pa.Array:
    keys, values = (
        column.cast(pa.list_(pa.utf8())) if pa.types.is_null(column.type) else column for column in (keys, values)
    )
    left, right = Lists.of(keys), Lists.of(values)
    is_null = np.asarray(keys.is_null()) | np.asarray(values.is_null())
    if np.any((left.lengths != right.lengths) & ~is_null):
        raise ValueError("the arrays of keys and of values do not have the same length")
    left, right = (Lists.of(part.kept(~is_null[part.parents])) if is_null.any() else part for part in (left, right))
    return _map_of(left.values, right.values, left.lengths, keys, values)


@function("map_keys", TypeFamily.MAP)
@columnwise
def _map_keys(column: pa.Array) -> pa.Array:
    lists = Lists.of(_entries(column))
    return list_of(_parts(lists.values)[0], lists.lengths, column)


@function("map_values", TypeFamily.MAP)
@columnwise
def _map_values(column: pa.Array) -> pa.Array:
    lists = Lists.of(_entries(column))
    return list_of(_parts(lists.values)[1], lists.lengths, column)


@function("map_entries", TypeFamily.MAP)
@columnwise
def _map_entries(column: pa.Array) -> pa.Array:
    return _entries(column)


def _union_types(kinds: Sequence[pa.DataType], _constants: Sequence[pa.Scalar | None]) -> list[pa.DataType]:
    maps = [kind for kind in kinds if pa.types.is_map(kind)]
    if not maps:
        return [_NOTHING] * len(kinds)
    keys, values = common_type([kind.key_type for kind in maps]), common_type([kind.item_type for kind in maps])
    if keys is None or values is None:
        raise TypeError("all maps must have one type of keys and one of values")
    return [pa.map_(keys, values)] * len(kinds)


@function("map_union", TypeFamily.MAP, variadic=True, coerce=_union_types)
@columnwise
def _map_union(*columns: pa.Array) -> pa.Array:
    entries, lengths = interleaved([Lists.of(_entries(column)) for column in columns])
    keys, values = _parts(entries)
    if any(column.null_count for column in columns):
        nulls = np.any([np.asarray(column.is_null()) for column in columns], axis=0)
        is_kept = ~np.repeat(nulls, lengths)
        mask = pa.array(is_kept)
        keys, values, lengths = keys.filter(mask), values.filter(mask), np.where(nulls, 0, lengths)
    return _map_of(keys, values, lengths, *columns)


@function("str_to_map", TypeFamily.STRING, coerce=each(pa.utf8()))
@columnwise
def _str_to_map(texts: pa.Array, list_delimiter: str, key_value_delimiter: str) -> pa.Array:
    pairs = Lists.of(_parts_of(texts, list_delimiter, limit=0))
    halves = Lists.of(_parts_of(pairs.values, key_value_delimiter, limit=2))
    keys = halves.values.take(pa.array(halves.offsets[:-1]))
    values = halves.values.take(pa.array(halves.offsets[:-1] + 1, mask=halves.lengths == 1))
    return _map_of(keys, values, pairs.lengths, texts)


def _parts_of(texts: pa.Array, delimiter: str, *, limit: int) -> pa.Array:
    """Like Java's `String.split`; Arrow's kernel loops forever if the delimiter matches an empty string."""
    return _core.regex_split(texts, pa.array([delimiter]), limit, rows=len(texts))
