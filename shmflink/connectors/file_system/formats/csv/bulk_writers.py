"""CSV files as PyFlink declares them (`CsvBulkWriters`)."""

from __future__ import annotations

import pyarrow as pa

from shmflink.connectors.file_system.formats.csv.jackson import JacksonStyle, java_numbers
from shmflink.connectors.file_system.formats.csv.schema import CsvSchema
from shmflink.connectors.file_system.writing.encoders import BulkWriterFactory
from shmflink.connectors.file_system.writing.text_output import CsvWriterFactory
from shmflink.core.lazy_imports import pc

__all__ = ["CsvBulkWriters"]


class CsvBulkWriters:
    """Makes BulkWriterFactory instances for CSV."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> BulkWriterFactory:
        """CSV files with the columns of the schema, as Flink writes them; elements of arrays are joined by their
        separator. `FileSink.csv` (*shmflink only*) is faster and quotes only where necessary.

        Raises:
            ConfigurationError: two of the characters are equal.
        """
        return _SchemaCsvFactory(schema)


class _SchemaCsvFactory(CsvWriterFactory):
    def __init__(self, schema: CsvSchema) -> None:
        super().__init__(None, schema.arrow_schema)
        self._has_header = schema.use_header
        self._style = JacksonStyle(
            schema.column_separator, schema.quote_char, schema.escape_char, schema.null_value, schema.line_separator
        )
        self._separators = {
            index: column.element_separator
            for index, column in enumerate(schema.columns)
            if column.element_separator is not None
        }

    def head(self, first: pa.RecordBatch) -> bytes:
        return self._style.head(first.schema.names) if self._has_header else b""

    def lines(self, columns: pa.RecordBatch) -> bytes:
        for index, separator in self._separators.items():
            columns = columns.set_column(index, columns.schema.names[index], _joined(columns[index], separator))
        return self._style.lines(columns)


def _joined(lists: pa.ListArray, separator: str) -> pa.Array:
    """One text per list; a null element becomes empty text."""
    values = lists.values
    texts = java_numbers(values) if pa.types.is_floating(values.type) else values.cast(pa.string())
    elements = texts.fill_null("")
    joined = pc.binary_join(pa.ListArray.from_arrays(lists.offsets, elements), separator)
    return pc.if_else(lists.is_valid(), joined, None)
