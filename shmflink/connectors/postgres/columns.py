"""The mapping from Arrow columns to PostgreSQL columns. Pure.

Rows are sent as text (COPY, format csv), so PostgreSQL parses the text of most types directly. Some Arrow types have no
such text: bytes (base64), lists, structs and maps (JSON), durations (a number). They are staged in another type and
converted when they are moved into the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.types as pt

from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["StagedColumn", "create_table", "names", "plain_columns", "quoted", "staged_columns"]


@dataclass(frozen=True, slots=True)
class StagedColumn:
    """`expression` converts the staged column, of `stage_type`, to the type of the table's column."""

    name: str
    stage_type: str
    expression: str


def quoted(name: str) -> str:
    """A quoted identifier; any characters are allowed."""
    return '"' + name.replace('"', '""') + '"'


def create_table(table: str, schema: pa.Schema) -> str:
    """The statement that creates a table for such rows. `table` as written in SQL."""
    columns = ", ".join(f"{quoted(field.name)} {_type_of(field.type)}" for field in schema)
    return f"CREATE TABLE {table} ({columns})"


def staged_columns(table: str, found: Mapping[str, str], schema: pa.Schema) -> list[StagedColumn]:
    """`found`: the table's columns and their types; empty if the table does not exist.

    Raises:
        ConfigurationError: the table is missing or lacks columns; the message has a statement that adds them.
    """
    if not found:
        raise ConfigurationError(
            f"there is no table {table}. This statement creates one that fits: {create_table(table, schema)}"
        )
    missing = [field for field in schema if field.name not in found]
    if missing:
        additions = ", ".join(f"ADD COLUMN {quoted(field.name)} {_type_of(field.type)}" for field in missing)
        raise ConfigurationError(
            f"the table {table} has the columns {', '.join(found)}, but the rows have {', '.join(schema.names)} "
            f"(columns are matched by name). To add the missing columns: ALTER TABLE {table} {additions}"
        )
    return [_staged(field, found[field.name]) for field in schema]


def plain_columns(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Durations as numbers of microseconds; the other columns unchanged."""
    if not any(pt.is_duration(field.type) for field in rows.schema):
        return rows
    arrays = [
        column.cast(pa.duration("us"), safe=False).cast(pa.int64()) if pt.is_duration(column.type) else column
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, names=rows.schema.names)


def names(columns: Sequence[StagedColumn]) -> str:
    """The type as written in SQL."""
    return ", ".join(quoted(column.name) for column in columns)


def _staged(field: pa.Field, target: str) -> StagedColumn:
    name = quoted(field.name)
    if _is_bytes(field.type):
        return StagedColumn(field.name, "text", f"decode({name}, 'base64')")
    if pt.is_duration(field.type):
        is_number = not target.startswith("interval")
        return StagedColumn(field.name, "bigint", name if is_number else f"{name} * interval '1 microsecond'")
    if _is_list(field.type) and target.endswith("[]"):
        elements = f"ARRAY(SELECT jsonb_array_elements_text({name}))::{target}"
        return StagedColumn(field.name, "jsonb", f"CASE WHEN {name} IS NULL THEN NULL ELSE {elements} END")
    return StagedColumn(field.name, target, name)


_SIMPLE = (
    (pt.is_boolean, "boolean"),
    (pt.is_int8, "smallint"),
    (pt.is_int16, "smallint"),
    (pt.is_uint8, "smallint"),
    (pt.is_int32, "integer"),
    (pt.is_uint16, "integer"),
    (pt.is_int64, "bigint"),
    (pt.is_uint32, "bigint"),
    (pt.is_uint64, "numeric(20)"),
    (pt.is_float16, "real"),
    (pt.is_float32, "real"),
    (pt.is_float64, "double precision"),
    (pt.is_date, "date"),
    (pt.is_time, "time"),
    (pt.is_duration, "interval"),
)


def _type_of(data_type: pa.DataType) -> str:
    for is_it, name in _SIMPLE:
        if is_it(data_type):
            return name
    if pt.is_dictionary(data_type):
        return _type_of(data_type.value_type)
    if pt.is_decimal(data_type):
        return f"numeric({data_type.precision}, {data_type.scale})"
    if pt.is_timestamp(data_type):
        return "timestamptz" if data_type.tz else "timestamp"
    if _is_bytes(data_type):
        return "bytea"
    if _is_list(data_type):
        inner = _type_of(data_type.value_type)
        return "jsonb" if inner == "jsonb" or inner.endswith("[]") or inner == "bytea" else f"{inner}[]"
    return "jsonb" if pt.is_nested(data_type) else "text"


def _is_bytes(data_type: pa.DataType) -> bool:
    return bool(pt.is_binary(data_type) or pt.is_large_binary(data_type) or pt.is_fixed_size_binary(data_type))


def _is_list(data_type: pa.DataType) -> bool:
    return bool(pt.is_list(data_type) or pt.is_large_list(data_type) or pt.is_fixed_size_list(data_type))
