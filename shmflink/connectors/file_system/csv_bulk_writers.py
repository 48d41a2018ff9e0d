"""CSV files as PyFlink declares them (`CsvBulkWriters`)."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from shmflink.connectors.file_system.csv_schema import CsvSchema
from shmflink.connectors.file_system.encoders import BulkWriterFactory
from shmflink.connectors.file_system.text_output import CsvStyle, CsvWriterFactory
from shmflink.errors import ConfigurationError

__all__ = ["CsvBulkWriters"]


class CsvBulkWriters:
    """Makes BulkWriterFactory instances for CSV."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> BulkWriterFactory:
        """CSV files with the columns of the schema; elements of arrays are joined by their separator.

        Raises:
            ConfigurationError: an escape character, which only reading knows; characters that cannot be told apart.
        """
        if schema.escape_char is not None:
            raise ConfigurationError(
                f"CsvBulkWriters: quotes are written twice, not escaped by {schema.escape_char!r}; leave it out"
            )
        return _SchemaCsvFactory(schema)


class _SchemaCsvFactory(CsvWriterFactory):
    def __init__(self, schema: CsvSchema) -> None:
        style = CsvStyle(
            delimiter=schema.column_separator,
            header=schema.use_header,
            quoting="none" if schema.quote_char is None else "minimal",
            quote=schema.quote_char or '"',
            null_text=schema.null_value,
            line_end=schema.line_separator,
        )
        super().__init__(style, schema.arrow_schema)
        self._separators = {
            index: column.element_separator
            for index, column in enumerate(schema.columns)
            if column.element_separator is not None
        }

    def lines(self, columns: pa.RecordBatch) -> bytes:
        for index, separator in self._separators.items():
            columns = columns.set_column(index, columns.schema.names[index], _joined(columns[index], separator))
        return super().lines(columns)


def _joined(lists: pa.ListArray, separator: str) -> pa.Array:
    """One text for each list; an element that is null is empty text."""
    elements = lists.values.cast(pa.string()).fill_null("")
    joined = pc.binary_join(pa.ListArray.from_arrays(lists.offsets, elements), separator)
    return pc.if_else(lists.is_valid(), joined, None)
