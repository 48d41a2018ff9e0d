"""Schemas of files: merging those of several files, and bringing a batch into the schema that was agreed on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

import pyarrow as pa

from shmflink.errors import ConfigurationError, DataFormatError, TypeMismatchError

__all__ = ["MERGE_RULES", "MergeRule", "conform", "merge_schemas", "plain_schema", "rows_without_columns", "wider_type"]

MergeRule = Literal["strict", "widen", "widen_to_string", "first"]
MERGE_RULES: Final = ("strict", "widen", "widen_to_string", "first")


def plain_schema(schema: pa.Schema, path: str) -> pa.Schema:
    """Names and types alone: without metadata, nullability and dictionaries, which differ from file to file.

    Raises:
        DataFormatError: two columns have the same name.
    """
    names = schema.names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataFormatError(f"{path}: two columns are named {twice!r}; rename one of them")
    return pa.schema([pa.field(field.name, _plain_type(field.type)) for field in schema])


def merge_schemas(schemas: Iterable[tuple[str, pa.Schema]], rule: MergeRule) -> pa.Schema:
    """One schema for files with these (path, schema), columns in the order in which they appear first.

    - `strict`: all files have the same columns and types, in any order; a column of nulls only fits any type.
    - `widen`: columns that a file lacks are null; two types become one that holds both (`wider_type`).
    - `widen_to_string`: as `widen`, and types that have nothing in common become strings.
    - `first`: what the first file says; other files' other columns are not read.

    A column that is null everywhere becomes a string.

    Raises:
        DataFormatError: names both files, the column and both types.
    """
    if rule not in MERGE_RULES:
        raise ConfigurationError(f"schema_merge: {rule!r} is not one of {', '.join(MERGE_RULES)}")
    merged: dict[str, tuple[str, pa.DataType]] = {}
    first_path: str | None = None
    for path, schema in schemas:
        if first_path is None:
            first_path = path
            merged = {field.name: (path, field.type) for field in schema}
        elif rule != "first":
            if rule == "strict":
                _require_same_columns(merged, schema, first_path, path)
            _merge_one(merged, path, schema, rule)
    return pa.schema([(name, pa.string() if pa.types.is_null(kind) else kind) for name, (_, kind) in merged.items()])


def wider_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """The type that holds the values of both, or None.

    Null and T: T. Two integers: the wider, signed if one is. A number and a floating one: double. Dates and timestamps:
    the finer timestamp (of one zone). Plain and large strings: large. Decimals: enough digits on both sides.
    """
    if left.equals(right):
        return left
    if pa.types.is_null(left) or pa.types.is_null(right):
        return right if pa.types.is_null(left) else left
    types = pa.types
    if types.is_integer(left) and types.is_integer(right):
        return _wider_integer(left, right)
    if _is_number(left) and _is_number(right):
        return pa.float64()
    if types.is_decimal(left) and types.is_decimal(right):
        scale = max(left.scale, right.scale)
        digits = max(left.precision - left.scale, right.precision - right.scale) + scale
        return pa.decimal128(digits, scale) if digits <= _DECIMAL_DIGITS_MAX else None
    if types.is_timestamp(left) and types.is_timestamp(right):
        same_zone = left.tz == right.tz
        return pa.timestamp(max(left.unit, right.unit, key=_UNITS.index), left.tz) if same_zone else None
    if types.is_date(left) and types.is_date(right):
        return pa.date64()
    if {left, right} <= {pa.string(), pa.large_string()}:
        return pa.large_string()
    if {left, right} <= {pa.binary(), pa.large_binary()}:
        return pa.large_binary()
    return _wider_date(left, right) or _wider_date(right, left)


def conform(columns: pa.RecordBatch, schema: pa.Schema, path: str) -> pa.RecordBatch:
    """`columns` in this schema: chosen and ordered by name, missing ones null, others cast without loss.

    Raises:
        TypeMismatchError: a column cannot be brought into its type; names the file.
    """
    if columns.schema.equals(schema):
        return columns
    held = {name: index for index, name in enumerate(columns.schema.names)}
    arrays = []
    for field in schema:
        at = held.get(field.name)
        if at is None:
            arrays.append(pa.nulls(columns.num_rows, field.type))
            continue
        array = columns.column(at)
        arrays.append(array if array.type.equals(field.type) else _cast(array, field, path))
    if not arrays:
        return rows_without_columns(columns.num_rows)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def rows_without_columns(rows: int) -> pa.RecordBatch:
    """A batch that has rows and no column: what a count needs."""
    return pa.record_batch([pa.nulls(rows)], names=["_"]).select([])


_UNITS: Final = ("s", "ms", "us", "ns")
_DECIMAL_DIGITS_MAX: Final = 38
_SIGNED: Final = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
_UNSIGNED: Final = {8: pa.uint8(), 16: pa.uint16(), 32: pa.uint32(), 64: pa.uint64()}


def _plain_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _wider_integer(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    signed = [kind for kind in (left, right) if pa.types.is_signed_integer(kind)]
    if len(signed) != 1:
        return max(left, right, key=lambda kind: int(kind.bit_width))
    unsigned = right if signed[0] is left else left
    bits = max(signed[0].bit_width, 2 * unsigned.bit_width)
    return _SIGNED.get(bits)


def _wider_date(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    is_pair = pa.types.is_date(left) and pa.types.is_timestamp(right)
    return right if is_pair and right.tz is None else None


def _merge_one(merged: dict[str, tuple[str, pa.DataType]], path: str, schema: pa.Schema, rule: MergeRule) -> None:
    for field in schema:
        known = merged.get(field.name)
        if known is None:
            merged[field.name] = (path, field.type)
            continue
        known_path, kind = known
        if kind.equals(field.type):
            continue
        is_one_null = pa.types.is_null(kind) or pa.types.is_null(field.type)
        wider = wider_type(kind, field.type) if rule != "strict" or is_one_null else None
        if wider is None and rule == "widen_to_string":
            wider = pa.string()
        if wider is None:
            remedy = (
                "give schema=, or schema_merge='widen'"
                if rule == "strict"
                else "give schema=, or schema_merge='widen_to_string'"
            )
            raise DataFormatError(
                f"column {field.name!r} is {kind} in {known_path} and {field.type} in {path}; {remedy}"
            )
        merged[field.name] = (path if wider.equals(field.type) else known_path, wider)


def _require_same_columns(
    merged: dict[str, tuple[str, pa.DataType]], schema: pa.Schema, first_path: str, path: str
) -> None:
    names = schema.names
    for name in names:
        if name not in merged:
            kind = schema.field(name).type
            raise DataFormatError(
                f"column {name!r} ({kind}) of {path} is not in {first_path}; give schema=, or schema_merge='widen'"
            )
    held = set(names)
    for name, (_, kind) in merged.items():
        if name not in held:
            raise DataFormatError(
                f"column {name!r} ({kind}) of {first_path} is not in {path}; give schema=, or schema_merge='widen'"
            )


def _cast(array: pa.Array, field: pa.Field, path: str) -> pa.Array:
    try:
        plain = array.dictionary.take(array.indices) if pa.types.is_dictionary(array.type) else array
        return plain if plain.type.equals(field.type) else plain.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise TypeMismatchError(
            f"{path}: column {field.name!r} is {array.type}, not of the declared type {field.type}: {error}"
        ) from error
