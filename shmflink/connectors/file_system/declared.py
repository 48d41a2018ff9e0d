"""Columns that the program declares, and what to say of those that were inferred."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pyarrow as pa

from shmflink.core.typeinfo import RowTypeInfo, schema_of
from shmflink.errors import ConfigurationError

__all__ = ["DeclaredSchema", "declared_schema", "explain_column"]

DeclaredSchema: TypeAlias = pa.Schema | Mapping[str, pa.DataType] | RowTypeInfo


def declared_schema(schema: DeclaredSchema) -> pa.Schema:
    """The columns of a schema in any of its forms.

    Raises:
        ConfigurationError: none of them.
    """
    if isinstance(schema, RowTypeInfo):
        columns = schema_of(schema)
        if columns is None:
            raise ConfigurationError(f"{schema}: a field has a type that text has no form for")
        return columns
    if isinstance(schema, Mapping):
        return pa.schema(list(schema.items()))
    if isinstance(schema, pa.Schema):
        return pa.schema(list(zip(schema.names, schema.types, strict=True)))
    raise ConfigurationError(f"schema: a pyarrow schema, a mapping of names to types, or a row type, not {schema!r}")


def explain_column(name: str, reason: str, inferred: Mapping[str, int]) -> str:
    """Why a value of this column is malformed; `inferred` has the rows that columns' types were inferred from."""
    rows = inferred.get(name)
    if rows is None or not reason.startswith(("`", "in `")):  # the type is not to blame
        return f"column {name!r}: {reason}"
    return (
        f"column {name!r}: {reason}, which was inferred from the first {rows} rows; declare another type with "
        f"column_types={{{name!r}: pa.string()}}"
    )
