"""Reading CSV whose columns a `CsvSchema` declares, as in PyFlink (`CsvReaderFormat`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa

from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.formats.csv.format import CsvFormat
from shmflink.connectors.file_system.formats.csv.schema import CsvSchema
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.batch import Batch
from shmflink.core.lazy_imports import pc
from shmflink.core.types.data_types import fitted
from shmflink.errors import DataFormatError
from shmflink.operators.base import SideOutput

__all__ = ["CsvReaderFormat"]


class CsvReaderFormat(CsvFormat):
    """CSV files as rows of a declared schema: columns are matched by name if the header has all of them, otherwise by
    position.

    Flink always matches by position; strict headers ensure that both give the same result.
    """

    def __init__(self, schema: CsvSchema) -> None:
        """As `for_schema`."""
        names = [column.name for column in schema.columns]
        self._separators = {
            column.name: column.element_separator for column in schema.columns if column.element_separator is not None
        }
        self._scaled = {c.name for c in schema.columns if pa.types.is_decimal128(c.type_info.arrow_type)}
        super().__init__(
            schema.declared,
            delimiter=schema.column_separator,
            quote=schema.quote_char,
            escape=schema.escape_char,
            comment="#" if schema.allow_comments else None,
            header=schema.use_header,
            skip_data_rows=int(schema.skip_first_data_row),
            null_values=(schema.null_value,),
        )
        if schema.use_header and not schema.strict_headers:
            self._head = replace(self._head, by_position=tuple(names))
        self._strict_names = tuple(names) if schema.strict_headers and schema.use_header else None

    @staticmethod
    def for_schema(schema: CsvSchema) -> CsvReaderFormat:
        """Reads files that `schema` describes.

        Raises:
            ConfigurationError: special characters conflict.
        """
        return CsvReaderFormat(schema)

    def check(self, path: str) -> None:
        """Raises DataFormatError if the header lacks a column or, with strict headers, has other names."""
        super().check(path)
        names = self.names_of(path)
        if self._strict_names is not None and names and names != self._strict_names:
            raise DataFormatError(f"{path}: its header names {list(names)}, not {list(self._strict_names)}")

    def open_split(self, split: Split) -> SplitCursor:
        if not self._separators and not self._scaled:
            return super().open_split(split)
        return _TextCursor(super().open_split(split), split.payload.path, self._wanted(), self._separators)

    def _parsed(self, schema: pa.Schema) -> pa.Schema:
        """The columns to parse: arrays and decimals are read as text; decimals are rounded to their scale later."""
        as_text = self._scaled | self._separators.keys()
        return pa.schema([(f.name, pa.string() if f.name in as_text else f.type) for f in schema])


class _TextCursor(SplitCursor):
    """Splits the text of array columns into elements, and rounds decimals to their scale."""

    def __init__(self, inner: SplitCursor, path: str, schema: pa.Schema, separators: Mapping[str, str]) -> None:
        self._inner = inner
        self._path = path
        self._schema = schema
        self._separators = separators

    def next_batch(self) -> Batch | SideOutput | Poll | None:
        found = self._inner.next_batch()
        if not isinstance(found, Batch):
            return found
        columns = found.columns()
        arrays = [
            self._elements(array, field) if field.name in self._separators else self._scaled(array, field)
            for array, field in zip(columns.columns, self._schema, strict=True)
        ]
        return Batch.of_columns(pa.RecordBatch.from_arrays(arrays, schema=self._schema), found.row_type)

    def remaining(self) -> Split:
        return self._inner.remaining()

    def close(self) -> None:
        self._inner.close()

    def _scaled(self, array: pa.Array, field: pa.Field) -> pa.Array:
        if array.type == field.type:
            return array
        try:
            return fitted(array, field)
        except pa.ArrowInvalid as error:
            raise DataFormatError(f"{self._path}: column {field.name!r}: {error}, {field.type}") from error

    def _elements(self, texts: pa.Array, field: pa.Field) -> pa.Array:
        separator = self._separators[field.name]
        # Without a separator the whole text is one element.
        lists = pc.split_pattern(texts, separator or "\0", max_splits=-1 if separator else 0)
        try:
            return lists.cast(field.type)
        except pa.ArrowInvalid as error:
            raise DataFormatError(f"{self._path}: column {field.name!r}: an element does not fit: {error}") from error
