"""CSV under PyFlink's module name; `CsvFormat` is *shmflink only*."""

from __future__ import annotations

from shmflink.connectors.file_system.formats.csv.bulk_writers import CsvBulkWriters
from shmflink.connectors.file_system.formats.csv.format import CsvFormat
from shmflink.connectors.file_system.formats.csv.reader_format import CsvReaderFormat
from shmflink.connectors.file_system.formats.csv.schema import CsvSchema, CsvSchemaBuilder
from shmflink.connectors.formats.csv import CsvRowDeserializationSchema, CsvRowSerializationSchema

__all__ = [
    "CsvBulkWriters",
    "CsvFormat",
    "CsvReaderFormat",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
    "CsvSchema",
    "CsvSchemaBuilder",
]
