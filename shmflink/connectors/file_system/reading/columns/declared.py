"""Columns that the program declares, and hints in messages about inferred columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

import pyarrow as pa

from shmflink.core.types.typeinfo import RowTypeInfo, schema_of
from shmflink.errors import ConfigurationError

__all__ = ["DeclaredSchema", "declared_schema", "explain_column", "explain_key"]

DeclaredSchema: TypeAlias = pa.Schema | Mapping[str, pa.DataType] | RowTypeInfo


def declared_schema(schema: DeclaredSchema) -> pa.Schema:
    """The columns of a schema in any of its forms.

    Raises:
        ConfigurationError: `schema` has none of these forms.
    """
    if isinstance(schema, RowTypeInfo):
        columns = schema_of(schema)
        if columns is None:
            raise ConfigurationError(f"{schema}: a field has a type that cannot be read from text")
        return columns
    if isinstance(schema, Mapping):
        return pa.schema(list(schema.items()))
    if isinstance(schema, pa.Schema):
        return pa.schema(list(zip(schema.names, schema.types, strict=True)))
    raise ConfigurationError(
        f"schema: must be a pyarrow schema, a mapping of names to types, or a row type, not {schema!r}"
    )


def explain_key(reason: str, inferred: Mapping[str, int]) -> str:
    """The reason, with advice if a key is not a column and the keys were inferred; otherwise unchanged."""
    found = _EXTRA_KEY.fullmatch(reason)
    if found is None or not inferred:
        return reason
    rows = max(inferred.values())
    return (
        f"{reason}; declare column_types={{{found['name']!r}: ...}} (an inner key: in the object's type), or "
        f"pass extra_keys='ignore' to drop it; the schema was inferred from the first {rows} rows"
    )


def explain_column(name: str, reason: str, inferred: Mapping[str, int]) -> str:
    """Why a value of this column is malformed; `inferred`: from how many rows each column's type was inferred."""
    rows = inferred.get(name)
    found = _MISFIT.fullmatch(reason)
    if rows is None or found is None:  # not a problem of the inferred type
        return f"column {name!r}: {reason}"
    kind = "pa.string()" if found["inner"] else _type_for(found["value"])
    return (
        f"column {name!r}: {reason}; declare column_types={{{name!r}: {kind}}}, "
        f"the type was inferred from the first {rows} rows"
    )


_MISFIT: Final = re.compile(r"(?P<inner>in `.*`: )?`(?P<value>.*)` is not [^`]*", re.DOTALL)
_EXTRA_KEY: Final = re.compile(r"(in `.*`: )?the key `(?P<name>.*)` is not in the schema", re.DOTALL)
_WHOLE: Final = re.compile(r"[-+]?[0-9]+")
_NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def _type_for(value: str) -> str:
    """A type, in the program's notation, for a value that is not of the inferred type."""
    if _WHOLE.fullmatch(value):
        return "pa.decimal128(38, 0)"
    return "pa.float64()" if _NUMBER.fullmatch(value) else "pa.string()"
