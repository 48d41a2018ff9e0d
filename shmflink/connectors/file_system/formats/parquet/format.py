"""Parquet as an input format."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.formats.parquet.cursor import ParquetCursor
from shmflink.connectors.file_system.formats.parquet.opening import BATCH_ROWS, ParquetPlan, ParquetReading
from shmflink.connectors.file_system.reading.input_format import BulkFormat
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.schema_metadata import annotated, described
from shmflink.core.types.typeinfo import RowTypeInfo, TypeInformation
from shmflink.errors import ConfigurationError, DataFormatError

if TYPE_CHECKING:
    from shmflink.expressions import Expression

__all__ = ["ParquetColumnarRowInputFormat", "ParquetFormat"]


class ParquetFormat(BulkFormat):
    """*shmflink only.* Parquet files as rows of the files' own types.

    Reads all columns, or the chosen ones in their order.
    """

    def __init__(self, columns: Sequence[str] | None = None, batch_size: int = BATCH_ROWS) -> None:
        """`batch_size` is the largest number of rows of one batch."""
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, got {batch_size}")
        self._columns = None if columns is None else tuple(columns)
        self._reading = ParquetReading(ParquetPlan(batch_rows=min(batch_size, BATCH_ROWS)))
        self.batch_rows_max = batch_size if batch_size < BATCH_ROWS else None

    def open_split(self, split: Split) -> SplitCursor:
        cursor = ParquetCursor(split, self.files, self._reading)
        path = split.payload.path
        if self.known is not None and path not in self.known.paths:
            try:
                self.known.check(path, cursor.names)
            except BaseException:
                cursor.close()
                raise
        return cursor

    def check(self, path: str) -> None:
        """Raises DataFormatError if the first file is not a Parquet file or lacks a column."""
        self.infer_schema(path)

    def infer_schema(self, path: str) -> pa.Schema:
        """The columns in the footer, or the chosen ones of them."""
        with self._reading.open_whole(self.files, path) as file:
            told = file.schema_arrow
            # An Arrow schema in the footer hides metadata that was added to the footer itself.
            metadata = {**(file.metadata.metadata or {}), **(told.metadata or {})}
        schema = self._reading.described(told.with_metadata(metadata or None), path)
        held = set(schema.names)
        missing = [name for name in self._columns or () if name not in held]
        if missing:
            raise DataFormatError(f"{path}: there is no column {missing[0]!r}; the file has {', '.join(schema.names)}")
        if self._columns is None:
            return schema
        return pa.schema([schema.field(name) for name in self._columns], schema.metadata)

    def with_schema(self, schema: pa.Schema) -> Self:
        return self._with(schema=schema)

    def with_filter(self, predicate: Expression) -> Self:
        """Skips row groups by their statistics and filters rows exactly; decodes other columns only where a row passes.

        The predicate's columns have the types that they had in `with_schema` until now.
        """
        plan = self._reading.plan
        both = predicate if plan.predicate is None else plan.predicate & predicate
        return self._with(predicate=both, predicate_schema=plan.predicate_schema or plan.schema)

    def with_row_numbers(self, name: str) -> Self:
        return self._with(row_numbers=name)

    def _with(self, **changes: Any) -> Self:
        changed = copy.copy(self)
        changed._reading = ParquetReading(replace(self._reading.plan, **changes))  # noqa: SLF001 - of this class
        return changed


class ParquetColumnarRowInputFormat(ParquetFormat):
    """Parquet files as rows of a declared type; columns are matched by name and cast to the field's type.

    `row_type` is a row type of `Types`. There is no Hadoop here, timestamps are read unchanged, and names are
    case-sensitive. `batch_size` has no effect: batches have the usual size.
    """

    def __init__(
        self,
        row_type: RowTypeInfo,
        hadoop_config: Any = None,
        batch_size: int = 2048,
        is_utc_timestamp: bool = False,
        is_case_sensitive: bool = True,
    ) -> None:
        """Raises ConfigurationError for case-insensitive names and for a Hadoop configuration."""
        if hadoop_config is not None:
            raise ConfigurationError("ParquetColumnarRowInputFormat(): there is no Hadoop here; omit hadoop_config")
        if not is_case_sensitive:
            raise ConfigurationError("is_case_sensitive=False is not supported; spell the columns as in the files")
        if batch_size < 1:
            raise ConfigurationError(f"batch_size must be at least 1, got {batch_size}")
        super().__init__(row_type.get_field_names())
        self._row_type = row_type
        fields = zip(row_type.get_field_names(), row_type.get_field_types(), strict=True)
        self._declared = pa.schema([(name, kind.arrow_type) for name, kind in fields])

    def infer_schema(self, path: str) -> pa.Schema:
        """The declared columns, which the file must have."""
        return described(self._declared, annotated(super().infer_schema(path)))

    @property
    def produced_type(self) -> TypeInformation:
        return self._row_type
