"""CSV under PyFlink's module name; `CsvFormat` is *shmflink only*."""

from __future__ import annotations

from shmflink.connectors.file_system.csv import CsvFormat
from shmflink.connectors.file_system.csv_bulk_writers import CsvBulkWriters
from shmflink.connectors.file_system.csv_reader_format import CsvReaderFormat
from shmflink.connectors.file_system.csv_schema import CsvSchema, CsvSchemaBuilder
from shmflink.connectors.row_csv import CsvRowDeserializationSchema, CsvRowSerializationSchema

__all__ = [
    "CsvBulkWriters",
    "CsvFormat",
    "CsvReaderFormat",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
    "CsvSchema",
    "CsvSchemaBuilder",
]
