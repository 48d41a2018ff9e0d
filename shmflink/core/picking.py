"""Rows picked out of columns, of any Arrow type: some types, such as string views, have no such kernel in pyarrow."""

from __future__ import annotations

from typing import Any, TypeVar

import pyarrow as pa

__all__ = ["kept", "taken"]

_Rows = TypeVar("_Rows", pa.Array, pa.RecordBatch)


def kept(rows: _Rows, mask: pa.BooleanArray) -> _Rows:
    """The rows whose mask is true (null is not), in their types."""
    try:
        return rows.filter(mask)
    except pa.ArrowNotImplementedError:
        return _in_plain_types(rows, lambda plain: plain.filter(mask))


def taken(rows: _Rows, indices: pa.Array) -> _Rows:
    """The rows at these indices, null where an index is, in their types."""
    try:
        return rows.take(indices)
    except pa.ArrowNotImplementedError:
        return _in_plain_types(rows, lambda plain: plain.take(indices))


def _in_plain_types(rows: Any, pick: Any) -> Any:
    """Views are other encodings of strings and bytes: there and back costs a copy, and only who has them pays it."""
    if isinstance(rows, pa.Array):
        return pick(rows.cast(_plain(rows.type))).cast(rows.type)
    schema = rows.schema
    plain = pa.schema([field.with_type(_plain(field.type)) for field in schema], schema.metadata)
    return pick(rows.cast(plain)).cast(schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type without views, inside of arrays and rows as well."""
    types = pa.types
    if types.is_string_view(kind):
        return pa.large_string()
    if types.is_binary_view(kind):
        return pa.large_binary()
    if types.is_list(kind) or types.is_list_view(kind):
        return pa.list_(_plain(kind.value_type))
    if types.is_large_list(kind) or types.is_large_list_view(kind):
        return pa.large_list(_plain(kind.value_type))
    if types.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return pa.struct([field.with_type(_plain(field.type)) for field in fields])
    return kind
