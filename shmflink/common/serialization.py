"""Records to bytes and back, for connectors that carry bytes (`pyflink.common.serialization`)."""

from __future__ import annotations

from shmflink.connectors.file_system.writing.encoders import BulkWriterFactory, Encoder
from shmflink.connectors.formats.serialization import (
    ByteArraySchema,
    DeserializationSchema,
    RowFieldExtractorSchema,
    SerializationSchema,
    SimpleStringSchema,
)

__all__ = [
    "BulkWriterFactory",
    "ByteArraySchema",
    "DeserializationSchema",
    "Encoder",
    "RowDataBulkWriterFactory",
    "RowFieldExtractorSchema",
    "SerializationSchema",
    "SimpleStringSchema",
]

RowDataBulkWriterFactory = BulkWriterFactory
"""PyFlink's name for a factory that accepts rows of the Table API; here all factories accept columns."""
