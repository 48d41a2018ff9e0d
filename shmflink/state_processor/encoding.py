"""A user's table as entries of a keyed state, in the form of state files. Columns at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.keys.columns import encode_keys, key_column, key_values, keys_to_wire
from shmflink.core.keys.groups import key_groups
from shmflink.core.lazy_imports import pc
from shmflink.core.types.shapes import PICKLE, Shape, arrow_type_of, field_names
from shmflink.errors import TypeMismatchError, UsageError
from shmflink.state.arrow_form import StateForm
from shmflink.state.arrow_values import try_array
from shmflink.state.descriptors import StateDescriptor
from shmflink.state.snapshots import KEY_GROUP
from shmflink.state.sorted_batches import in_order_of_groups

__all__ = ["encoded_state", "key_array"]

_COLLECTIONS: Final = ("list", "map")


def encoded_state(
    descriptor: StateDescriptor,
    table: pa.Table,
    key: str | Sequence[str],
    value: str | Sequence[str] | None,
    max_parallelism: int,
    now_ms: int,
) -> list[pa.RecordBatch]:
    """Batches as `KeyedSnapshot.batches` gives them; rows whose value is null are left out.

    Raises:
        UsageError: a column is not there, or a key stands twice where it has one value.
        TypeMismatchError: a column does not fit the declared type.
    """
    key_names = [key] if isinstance(key, str) else list(key)
    value_names = _value_names(table, key_names, value)
    form = StateForm.of(descriptor)
    assert form.shape is not None
    where = f"state '{descriptor.name}', column"
    keys = key_array([_one(table, name) for name in key_names])
    if _is_one_row_each(form.kind, table, value_names):
        keys, values = _grouped(form, table, keys, value_names, where)
    else:
        values = _values(form.shape, [_one(table, name) for name in value_names], f"{where} {value_names}")
        _check_unique(keys, descriptor, key_names)
    is_there = values.is_valid()
    keys, values = keys.filter(is_there), values.filter(is_there)
    columns = {"value": values}
    if form.has_ttl:
        columns["ttl"] = _stamps(form.kind, values, now_ms)
    return list(_batches(form, form.shape, keys, columns, max_parallelism))


def key_array(arrays: Sequence[pa.Array]) -> pa.Array:
    """Keys as the job's key_by makes them: the values of one column, tuples of several."""
    columns = [key_column(array) for array in arrays]
    if len(columns) == 1:
        return columns[0]
    return encode_keys(list(zip(*map(key_values, columns), strict=True)))


def _batches(
    form: StateForm, shape: Shape, keys: pa.Array, columns: dict[str, pa.Array], max_parallelism: int
) -> Iterator[pa.RecordBatch]:
    groups = pa.array(key_groups(keys, max_parallelism), pa.int32())
    stored, marker = keys_to_wire(keys)
    fields = [pa.field(KEY_GROUP, pa.int32()), pa.field("key", stored.type, metadata=marker)]
    fields += [pa.field(name, array.type) for name, array in columns.items()]
    schema = pa.schema(fields, form.metadata(shape))
    batch = pa.RecordBatch.from_arrays([groups, stored, *columns.values()], schema=schema)
    return in_order_of_groups([batch])


def _value_names(table: pa.Table, keys: list[str], value: str | Sequence[str] | None) -> list[str]:
    names = [value] if isinstance(value, str) else list(value or ())
    missing = [name for name in (*keys, *names) if name not in table.column_names]
    if missing or not keys:
        raise UsageError(
            f"the table has no column {missing or '(no key column was named)'}; it has {table.column_names}"
        )
    names = names or [name for name in table.column_names if name not in keys]
    if not names:
        raise UsageError(f"the table has no column beside the keys {keys}: the state needs a value")
    return names


def _one(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name).combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _is_one_row_each(kind: str, table: pa.Table, names: list[str]) -> bool:
    """Whether each row is one item of a list or map, rather than a whole one."""
    if kind == "map":
        return len(names) == 2
    kind_of = table.schema.field(names[0]).type
    return kind == "list" and not (len(names) == 1 and (pa.types.is_list(kind_of) or pa.types.is_large_list(kind_of)))


def _grouped(
    form: StateForm, table: pa.Table, keys: pa.Array, names: list[str], where: str
) -> tuple[pa.Array, pa.Array]:
    """The items of each key together, in the order of their rows."""
    shape: Any = form.shape
    encoded = keys.dictionary_encode(null_encoding="encode")
    indices = encoded.indices.to_numpy(zero_copy_only=False)
    order = pa.array(np.argsort(indices, kind="stable"))
    ends = np.cumsum(np.bincount(indices, minlength=len(encoded.dictionary)))
    offsets = pa.array(np.concatenate(([0], ends)), pa.int32())
    columns = [_one(table, name).take(order) for name in names]
    if form.kind == "list":
        items = _values(shape[1], columns, f"{where} {names}")
        return encoded.dictionary, pa.ListArray.from_arrays(offsets, items)
    map_keys, items = (
        _values(part, [column], f"{where} {name}") for part, column, name in zip(shape[1:], columns, names, strict=True)
    )
    if map_keys.null_count:
        raise UsageError(f"{where} {names[0]}: a map's key must not be null")
    return encoded.dictionary, pa.MapArray.from_arrays(offsets, map_keys, items)


def _values(shape: Shape, columns: list[pa.Array], where: str) -> pa.Array:
    """One or more columns as one of this shape."""
    if shape == PICKLE:
        rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
        array = try_array(PICKLE, [row[0] if len(columns) == 1 else row for row in rows])
        assert array is not None
        return array
    target = arrow_type_of(shape)
    if pa.types.is_struct(target):
        columns = columns[0].flatten() if len(columns) == 1 and pa.types.is_struct(columns[0].type) else columns
        names = list(field_names(shape))
        if len(columns) != len(names):
            raise TypeMismatchError(
                f"{where}: the declared type has the fields {names}, but there are {len(columns)} columns"
            )
        parts = [_values(part, [column], where) for part, column in zip(shape[-1], columns, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=list(target))
    if len(columns) > 1:
        raise TypeMismatchError(f"{where}: several columns need a declared type of several fields, not {target}")
    try:
        return columns[0] if columns[0].type == target else columns[0].cast(target)
    except pa.ArrowException as error:
        raise TypeMismatchError(f"{where}: {columns[0].type} does not fit the declared {target}: {error}") from None


def _check_unique(keys: pa.Array, descriptor: StateDescriptor, names: list[str]) -> None:
    counts = pc.value_counts(keys)
    at = pc.index(pc.greater(counts.field("counts"), 1), True).as_py()
    if at >= 0:
        example = key_values(counts.field("values").slice(at, 1))[0]
        raise UsageError(
            f"state '{descriptor.name}': the key {example!r} occurs more than once in {names}, but a key has one "
            "value: group the table by it first"
        )


def _stamps(kind: str, values: pa.Array, now_ms: int) -> pa.Array:
    if kind not in _COLLECTIONS:
        return pa.array(np.full(len(values), now_ms, np.int64))
    lengths = pc.list_value_length(values) if kind == "list" else np.diff(np.asarray(values.offsets))
    ends = np.cumsum(np.asarray(lengths))
    offsets = pa.array(np.concatenate(([0], ends)), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(np.full(int(ends[-1]) if len(ends) else 0, now_ms, np.int64)))
