"""Columns in the types that every operator takes: without encodings, views and extension types.

Everything from outside (files, in-memory tables) passes through here once. Arrow has few kernels for the other forms:
there is no `take` of a view, no cast of a list of views, no comparison of an extension type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from shmflink.core.lazy_imports import pc

__all__ = ["cast_array", "kept", "plain_array", "plain_batch", "plain_type", "taken"]

_Rows = TypeVar("_Rows", pa.Array, pa.RecordBatch, pa.ChunkedArray)

_DECIMAL_BITS: Final = 128
_UUID_BYTES: Final = 16
_HYPHENS: Final = (8, 13, 18, 23)
_DIGITS: Final = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint8).reshape(256, 2)


def plain_type(kind: pa.DataType, *, keeps_dictionaries: bool = False) -> pa.DataType:
    """The type that values of `kind` have inside a job.

    Views become strings, binaries and lists; dictionaries (unless kept) and runs become their values; UUIDs become text
    of 36 characters; other extension types become their storage; 32- and 64-bit decimals become 128-bit ones. Inner
    types, too.
    """
    if isinstance(kind, pa.BaseExtensionType):  # types of Python's extensions cannot be keys of a dict
        return _EXTENSIONS.get(kind.extension_name) or plain_type(kind.storage_type)
    made = _PLAIN.get(kind)
    if made is not None:
        return made
    types = pa.types
    if types.is_dictionary(kind):
        value = plain_type(kind.value_type)
        return pa.dictionary(kind.index_type, value, kind.ordered) if keeps_dictionaries else value
    if types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if types.is_decimal(kind) and kind.bit_width < _DECIMAL_BITS:
        return pa.decimal128(kind.precision, kind.scale)
    return _plain_nested(kind) if kind.num_fields else kind


def plain_array(array: pa.Array, *, keeps_dictionaries: bool = False) -> pa.Array:
    """The values in their plain type; the same array if it already has that type."""
    kind = plain_type(array.type, keeps_dictionaries=keeps_dictionaries)
    return array if kind.equals(array.type) else cast_array(array, kind)


def plain_batch(columns: pa.RecordBatch, *, keeps_dictionaries: bool = False) -> pa.RecordBatch:
    """All columns of a batch in the form of `plain_array`; if one changes, only the names of the schema are kept."""
    kinds = columns.schema.types
    plain = [plain_type(kind, keeps_dictionaries=keeps_dictionaries) for kind in kinds]
    if plain == kinds:
        return columns
    arrays = [cast_array(array, kind) for array, kind in zip(columns.columns, plain, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=columns.schema.names)


def cast_array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The values cast to another type, without loss; fields of structs are matched by name, missing ones become null.

    A timestamp without a zone is interpreted as local time of its new zone, and vice versa.

    Raises:
        pa.ArrowException: a value does not fit, or the types cannot be cast.
    """
    given, types = array.type, pa.types
    if given.equals(kind):
        return array
    if isinstance(given, pa.BaseExtensionType):
        return _of_extension(array, kind)
    if types.is_dictionary(given):
        return _of_dictionary(array, kind)
    if types.is_run_end_encoded(given):
        return cast_array(pc.run_end_decode(array), kind)
    if types.is_struct(given) and types.is_struct(kind):
        return _struct(array, kind)
    if _is_list_view(given):
        return cast_array(_list_of_view(array), kind)
    if _is_list(given) and _is_list(kind) and not given.value_type.equals(kind.value_type):
        return _list(array, kind)
    if types.is_map(given) and types.is_map(kind):
        return _map(array, kind)
    if types.is_timestamp(kind) and (types.is_timestamp(given) or _is_text(given)) and kind.tz is not None:
        return _zoned(array, kind)
    if types.is_timestamp(given) and given.tz is not None and types.is_timestamp(kind):
        return pc.local_timestamp(array).cast(kind)
    if types.is_null(kind) and array.null_count == len(array):
        return pa.nulls(len(array))
    return array.cast(kind)


def kept(rows: _Rows, mask: pa.BooleanArray) -> _Rows:
    """The rows whose mask is true (null is not), in their types."""
    try:
        return rows.filter(mask)
    except pa.ArrowNotImplementedError:
        return _by_column(rows, lambda column: column.filter(mask))


def taken(rows: _Rows, indices: pa.Array) -> _Rows:
    """The rows at these indices, null where an index is, in their types."""
    try:
        return rows.take(indices)
    except pa.ArrowNotImplementedError:
        return _by_column(rows, lambda column: column.take(indices))


def _by_column(rows: Any, pick: Callable[[pa.Array], pa.Array]) -> Any:
    """Columns whose type has no such kernel are converted there and back, a copy that only those columns cost."""
    if isinstance(rows, pa.RecordBatch):
        return pa.RecordBatch.from_arrays([_by_column(column, pick) for column in rows.columns], schema=rows.schema)
    try:
        return pick(rows)
    except pa.ArrowNotImplementedError:
        return cast_array(pick(plain_array(rows)), rows.type)


_PLAIN: Final[dict[pa.DataType, pa.DataType]] = {
    **{
        kind: kind
        for kind in (
            *(pa.bool_(), pa.string(), pa.binary(), pa.large_string(), pa.large_binary(), pa.date32(), pa.null()),
            *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
            *(pa.float16(), pa.float32(), pa.float64(), pa.timestamp("us"), pa.timestamp("us", "UTC")),
        )
    },
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
}


_EXTENSIONS: Final = {"arrow.uuid": pa.string(), "arrow.bool8": pa.bool_()}


def _plain_nested(kind: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_struct(kind):
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    if types.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type), kind.keys_sorted)
    if types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)), kind.list_size)
    if types.is_large_list(kind) or types.is_large_list_view(kind):
        return pa.large_list(kind.value_field.with_type(plain_type(kind.value_type)))
    if types.is_list(kind) or types.is_list_view(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)))
    return kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_list_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _of_extension(array: pa.Array, kind: pa.DataType) -> pa.Array:
    name = array.type.extension_name
    if name == "arrow.uuid" and _is_text(kind):
        return _text_of_uuids(array.storage).cast(kind)
    if name == "arrow.bool8":
        return pc.not_equal(array.storage, 0).cast(kind)
    return cast_array(array.storage, kind)


def _text_of_uuids(values: pa.Array) -> pa.Array:
    """`00112233-4455-6677-8899-aabbccddeeff` for each 16 bytes."""
    rows = len(values)
    data = values.buffers()[1]
    at = values.offset * _UUID_BYTES
    raw = np.zeros((rows, _UUID_BYTES), np.uint8)
    if rows and data is not None:
        raw = np.frombuffer(data, np.uint8, rows * _UUID_BYTES, at).reshape(rows, _UUID_BYTES)
    width = 2 * _UUID_BYTES + len(_HYPHENS)
    text = np.full((rows, width), ord("-"), np.uint8)
    text[:, [place for place in range(width) if place not in _HYPHENS]] = _DIGITS[raw].reshape(rows, 2 * _UUID_BYTES)
    fixed = pa.Array.from_buffers(pa.binary(width), rows, [None, pa.py_buffer(text)])
    made = fixed.cast(pa.binary()).cast(pa.string())
    return pc.if_else(values.is_valid(), made, None) if values.null_count else made


def _of_dictionary(array: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        values = cast_array(array.dictionary, kind.value_type)
        indices = array.indices.cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(indices, values, ordered=kind.ordered)
    values = plain_array(array.dictionary)
    return cast_array(values.take(array.indices), kind)


def _struct(array: pa.StructArray, kind: pa.StructType) -> pa.Array:
    mask = array.is_null() if array.null_count else None
    rows = len(array)
    made = []
    for field in kind:
        at = array.type.get_field_index(field.name)
        made.append(pa.nulls(rows, field.type) if at < 0 else cast_array(array.field(at), field.type))
    if not made:
        return array.cast(kind)
    return pa.StructArray.from_arrays(made, fields=list(kind), mask=mask)


def _list_of_view(array: pa.Array) -> pa.Array:
    """A list view whose elements are in row order."""
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    is_large = pa.types.is_large_list_view(array.type)
    ends = np.zeros(len(array) + 1, np.int64 if is_large else np.int32)
    np.cumsum(lengths, out=ends[1:])
    make = pa.LargeListArray if is_large else pa.ListArray
    plain = pa.large_list(array.type.value_field) if is_large else pa.list_(array.type.value_field)
    return make.from_arrays(pa.array(ends), array.flatten(), type=plain, mask=_mask(array))


def _list(array: pa.Array, kind: pa.DataType) -> pa.Array:
    given = array.type
    field = given.value_field.with_type(kind.value_type)
    if pa.types.is_fixed_size_list(given):
        values = array.values.slice(array.offset * given.list_size, len(array) * given.list_size)
        made = pa.FixedSizeListArray.from_arrays(
            cast_array(values, kind.value_type), type=pa.list_(field, given.list_size), mask=_mask(array)
        )
        return made if made.type.equals(kind) else made.cast(kind)
    first, last = (array.offsets[0].as_py(), array.offsets[-1].as_py()) if len(array) else (0, 0)
    values = cast_array(array.values.slice(first, last - first), kind.value_type)
    is_large = pa.types.is_large_list(given)
    offsets = pc.subtract(array.offsets, pa.scalar(first, array.offsets.type)) if first else array.offsets
    make = pa.LargeListArray if is_large else pa.ListArray
    if array.offset and array.null_count:
        offsets = pa.concat_arrays([offsets])  # a mask and a slice cannot be combined
    made = make.from_arrays(
        offsets, values, type=pa.large_list(field) if is_large else pa.list_(field), mask=_mask(array)
    )
    return made if made.type.equals(kind) else made.cast(kind)


def _map(array: pa.MapArray, kind: pa.MapType) -> pa.Array:
    first, last = (array.offsets[0].as_py(), array.offsets[-1].as_py()) if len(array) else (0, 0)
    keys = cast_array(array.keys.slice(first, last - first), kind.key_type)
    items = cast_array(array.items.slice(first, last - first), kind.item_type)
    offsets = pc.subtract(array.offsets, pa.scalar(first, pa.int32()))
    if not len(array):
        return pa.array([], kind)
    return pa.MapArray.from_arrays(offsets, keys, items, type=kind, mask=_mask(array))


def _mask(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None


def _zoned(array: pa.Array, kind: pa.DataType) -> pa.Array:
    given = array.type
    if pa.types.is_timestamp(given) and given.tz is not None:
        return array.cast(kind)
    try:
        local = array.cast(pa.timestamp(kind.unit))
    except pa.ArrowInvalid:
        if pa.types.is_timestamp(given):
            raise
        return array.cast(kind)  # text with an offset is an instant
    return pc.assume_timezone(local, kind.tz, ambiguous="earliest", nonexistent="latest")
