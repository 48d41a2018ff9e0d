"""The values of a state as Arrow arrays of their declared type, and back.

Lists and maps are encoded over all their items at once, so that the native codec does the work. A value that would not
survive the round trip (another type than declared, a number that is too large) is pickled in a second column.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.columns import array_of, values_of
from shmflink.core.rows import codec_of, encode, fits, shape_of_columns
from shmflink.core.serialization.codec import dumps_value, loads_value, loads_values
from shmflink.core.types.shapes import PICKLE, Shape, arrow_type_of, field_names

__all__ = ["inferred_shape", "try_array", "values_from", "values_to"]

_NATIVE: Final = frozenset({"i8", "i16", "i32", "i64", "f32", "f64", "str", "char", "bytes", "bool"})


def inferred_shape(values: Sequence[Any]) -> Shape:
    """The most common shape of values without a declared one; pickled if there is none."""
    shape = shape_of_columns(encode([value for value in values if value is not None][:1024]))
    return PICKLE if shape is None or shape == "null" else shape


def values_to(shape: Shape, values: list[Any]) -> tuple[pa.Array, pa.Array | None]:
    """The values as a column of the shape, None as null; values without that shape as a second, pickled column."""
    typed = try_array(shape, values)
    if typed is not None:
        return typed, None
    kept = [value if value is not None and fits(shape, value) else None for value in values]
    others = [None if value is None or plain is not None else value for value, plain in zip(values, kept, strict=True)]
    typed = array_of(shape, kept)
    return typed, try_array(PICKLE, others)


def values_from(shape: Shape, typed: pa.Array, pickled: pa.Array | None) -> list[Any]:
    """The inverse of `values_to`. Exceptions from unpickling propagate."""
    values = _decoded(shape, typed)
    if pickled is not None and pickled.null_count < len(pickled):
        for index, data in enumerate(pickled.to_pylist()):
            if data is not None:
                values[index] = loads_value(data)
    return values


def try_array(shape: Shape, values: list[Any]) -> pa.Array | None:
    """The column of these values; None if one of them would not survive the round trip."""
    if shape == PICKLE:
        return pa.array([None if value is None else dumps_value(value) for value in values], pa.binary())
    if isinstance(shape, str):
        if shape in _NATIVE:
            columns = codec_of(shape).try_encode(values)
            return None if columns is None else columns.column(0)
        return array_of(shape, values) if all(fits(shape, value) for value in values) else None
    if any(value is None for value in values):
        return _with_nulls(shape, values)
    return _COLLECTIONS[shape[0]](shape, values)


def _with_nulls(shape: Shape, values: list[Any]) -> pa.Array | None:
    indices: list[int | None] = []
    there: list[Any] = []
    for value in values:
        indices.append(None if value is None else len(there))
        if value is not None:
            there.append(value)
    if not there:
        return pa.nulls(len(values), arrow_type_of(shape))
    array = try_array(shape, there)
    return None if array is None else array.take(pa.array(indices, pa.int64()))


def _fields(shape: Any, values: list[Any]) -> pa.Array | None:
    columns = codec_of(shape).try_encode(values)
    return None if columns is None else pa.StructArray.from_arrays(columns.columns, names=list(field_names(shape)))


def _list(shape: Any, values: list[Any]) -> pa.Array | None:
    if any(type(value) is not list for value in values):
        return None
    items = try_array(shape[1], list(chain.from_iterable(values)))
    return None if items is None else pa.ListArray.from_arrays(_offsets(values), items)


def _map(shape: Any, values: list[Any]) -> pa.Array | None:
    if any(type(value) is not dict or None in value for value in values):
        return None
    keys = try_array(shape[1], list(chain.from_iterable(values)))
    if keys is None:
        return None
    items = try_array(shape[2], list(chain.from_iterable(value.values() for value in values)))
    return None if items is None else pa.MapArray.from_arrays(_offsets(values), keys, items)


_COLLECTIONS: Final = {"tuple": _fields, "row": _fields, "list": _list, "map": _map}


def _offsets(values: list[Any]) -> pa.Array:
    ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
    return pa.array(np.concatenate(([0], ends)), pa.int32())


def _decoded(shape: Shape, array: pa.Array) -> list[Any]:
    if len(array) == 0:
        return []
    if shape == PICKLE:
        if array.null_count:
            return [None if data is None else loads_value(data) for data in array.to_pylist()]
        return loads_values(array.to_pylist())
    if isinstance(shape, str):
        if shape in _NATIVE:
            return codec_of(shape).decode(pa.RecordBatch.from_arrays([array], names=["value"]))
        return values_of(shape, array)
    if array.null_count:
        values: list[Any] = [None] * len(array)
        there = _decoded(shape, array.drop_null())
        for index, value in zip(np.flatnonzero(array.is_valid()).tolist(), there, strict=True):
            values[index] = value
        return values
    if shape[0] in ("tuple", "row"):
        return codec_of(shape).decode(pa.RecordBatch.from_arrays(array.flatten(), names=list(field_names(shape))))
    bounds = list(pairwise((np.asarray(array.offsets) - array.offsets[0].as_py()).tolist()))
    if shape[0] == "list":
        items = _decoded(shape[1], array.flatten())
        return [items[first:last] for first, last in bounds]
    first_item, count = array.offsets[0].as_py(), bounds[-1][1] if bounds else 0
    keys = _decoded(shape[1], array.keys.slice(first_item, count))
    items = _decoded(shape[2], array.items.slice(first_item, count))
    return [dict(zip(keys[first:last], items[first:last], strict=True)) for first, last in bounds]
