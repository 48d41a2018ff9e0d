"""Schemas of files: merges those of several files, and casts batches to the merged schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

import pyarrow as pa

from shmflink.connectors.file_system.reading.columns.wider_types import same_type, settled_type, wider_type
from shmflink.core.plain_columns import cast_array, plain_type
from shmflink.core.schema_metadata import annotated, described
from shmflink.errors import ConfigurationError, DataFormatError, TypeMismatchError

__all__ = [
    "MERGE_RULES",
    "MergeRule",
    "conform",
    "described_schema",
    "merge_schemas",
    "plain_schema",
    "rows_without_columns",
]

MergeRule = Literal["strict", "widen", "widen_to_string", "first"]
MERGE_RULES: Final = ("strict", "widen", "widen_to_string", "first")


def plain_schema(schema: pa.Schema, path: str) -> pa.Schema:
    """Only names and plain types (`core.plain_columns`): metadata, nullability and encodings differ from file to file.

    Raises:
        DataFormatError: two columns have the same name.
    """
    names = schema.names
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise DataFormatError(f"{path}: two columns are named {twice!r}; rename one of them")
    return pa.schema([(name, plain_type(kind)) for name, kind in zip(names, schema.types, strict=True)])


def described_schema(schema: pa.Schema, path: str) -> pa.Schema:
    """Like `plain_schema`, with the metadata that follows the rows (`core.schema_metadata`)."""
    return described(plain_schema(schema, path), annotated(schema))


def merge_schemas(schemas: Iterable[tuple[str, pa.Schema]], rule: MergeRule, *, of_text: bool = False) -> pa.Schema:
    """One schema for files with these (path, schema) pairs; columns are in the order of their first appearance.

    - `strict`: all files have the same columns and types, in any order; a column of nulls fits any type, and strings
      are equal independent of the width of their offsets.
    - `widen`: columns that a file lacks are null; two types become one that holds both (`wider_type`), also for texts
      with and without zones.
    - `widen_to_string`: as `widen`, but types that have nothing in common become strings.
    - `first`: the schema of the first file; additional columns of other files are not read.

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
            _merge_one(merged, path, schema, rule, of_text)
    return pa.schema([(name, settled_type(kind)) for name, (_, kind) in merged.items()])


def conform(
    columns: pa.RecordBatch, schema: pa.Schema, path: str, *, keeps_dictionaries: bool = False
) -> pa.RecordBatch:
    """`columns` in this schema: selected and ordered by name, missing columns null, others cast without loss.

    `keeps_dictionaries`: dictionaries whose values have the column's type are not decoded.

    Raises:
        TypeMismatchError: a column cannot be cast to its type; names the file.
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
        kind = array.type
        fits = kind.equals(field.type) or (
            keeps_dictionaries and pa.types.is_dictionary(kind) and kind.value_type.equals(field.type)
        )
        arrays.append(array if fits else _cast(array, field, path))
    if not arrays:
        return rows_without_columns(columns.num_rows)
    if keeps_dictionaries:
        return pa.RecordBatch.from_arrays(arrays, names=schema.names)
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


_OTHERWISE: Final = {"widen_to_string": pa.string()}


def rows_without_columns(rows: int) -> pa.RecordBatch:
    """A batch with rows but without columns, as a count needs."""
    return pa.record_batch([pa.nulls(rows)], names=["_"]).select([])


def _merge_one(
    merged: dict[str, tuple[str, pa.DataType]], path: str, schema: pa.Schema, rule: MergeRule, of_text: bool
) -> None:
    for name, given in zip(schema.names, schema.types, strict=True):
        known = merged.get(name)
        if known is None:
            merged[name] = (path, given)
            continue
        known_path, kind = known
        if kind.equals(given):
            continue
        if rule == "strict":
            wider = same_type(kind, given)
        else:
            wider = wider_type(kind, given, of_text=of_text, otherwise=_OTHERWISE.get(rule))
        if wider is None:
            remedy = "widen" if rule == "strict" else "widen_to_string"
            raise DataFormatError(
                f"column {name!r} is {kind} in {known_path} and {given} in {path}; "
                f"give schema=, or schema_merge={remedy!r}"
            )
        merged[name] = (path if wider.equals(given) else known_path, wider)


def _require_same_columns(
    merged: dict[str, tuple[str, pa.DataType]], schema: pa.Schema, first_path: str, path: str
) -> None:
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name not in merged:
            raise DataFormatError(
                f"column {name!r} ({kind}) of {path} is not in {first_path}; give schema=, or schema_merge='widen'"
            )
    held = set(schema.names)
    for name, (_, kind) in merged.items():
        if name not in held:
            raise DataFormatError(
                f"column {name!r} ({kind}) of {first_path} is not in {path}; give schema=, or schema_merge='widen'"
            )


def _cast(array: pa.Array, field: pa.Field, path: str) -> pa.Array:
    try:
        return cast_array(array, field.type)
    except pa.ArrowException as error:
        raise TypeMismatchError(
            f"{path}: column {field.name!r} has type {array.type}, which does not fit the declared type "
            f"{field.type}: {error}"
        ) from error
