"""CSV under PyFlink's module name."""

from __future__ import annotations

from shmflink.connectors.file_system.csv_bulk_writers import CsvBulkWriters
from shmflink.connectors.file_system.csv_schema import CsvSchema, CsvSchemaBuilder

__all__ = ["CsvBulkWriters", "CsvSchema", "CsvSchemaBuilder"]
