"""The common part of CSV and JSON lines: records that the core parses into columns, some of them malformed."""

from __future__ import annotations

import copy
from typing import Self

import pyarrow as pa

from shmflink.connectors.file_system.formats.text.format import StreamFormat
from shmflink.connectors.file_system.reading.columns.declared import DeclaredSchema, declared_schema
from shmflink.connectors.file_system.reading.malformed import MalformedRows, OnErrorPolicy
from shmflink.core.types.typeinfo import RowTypeInfo, TypeInformation
from shmflink.operators.base import OperatorContext

__all__ = ["ParsedRecordsFormat"]


class ParsedRecordsFormat(StreamFormat):
    """A text format with columns."""

    def __init__(self, schema: DeclaredSchema | None, policy: OnErrorPolicy) -> None:
        """`schema`: the columns that the program declares; None: each file determines its columns."""
        self._declared: pa.Schema | None = None if schema is None else declared_schema(schema)
        self._row_type = schema if isinstance(schema, RowTypeInfo) else None
        self._policy = policy
        self._malformed = MalformedRows(policy)
        # number of rows from which each column's type was inferred; shared by copies
        self._inferred: dict[str, int] = {}

    def for_reader(self, context: OperatorContext) -> Self:
        changed = copy.copy(self)
        changed._malformed = MalformedRows(self._policy, context)  # noqa: SLF001 - of this class
        return changed

    def finish_reader(self) -> None:
        self._malformed.finish()

    def snapshot_reader(self) -> None:
        self._malformed.finish()

    def close_reader(self) -> None:
        self._malformed.close()

    def side_output_type(self, tag: str) -> TypeInformation | None:
        return self._policy.side_output_type(tag)

    @property
    def declared(self) -> pa.Schema | None:
        """The declared columns."""
        return self._declared

    @property
    def produced_type(self) -> TypeInformation | None:
        return self._row_type

    def _batch_type(self, schema: pa.Schema) -> RowTypeInfo | None:
        """The type of rows with these columns; None: rows with the columns' own types."""
        return self._row_type if self._row_type is not None and schema.equals(self._declared) else None
