"""Avro under PyFlink's module name: container files out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.connectors.file_system.formats.avro.output import AvroBulkWriters, AvroSchema, GenericRecordAvroTypeInfo
from shmflink.errors import UsageError

__all__ = ["AvroBulkWriters", "AvroInputFormat", "AvroSchema", "GenericRecordAvroTypeInfo"]


class AvroInputFormat:
    """PyFlink's reader of Avro files: always raises an error here."""

    def __init__(self, path: str, schema: AvroSchema) -> None:
        raise UsageError(
            f"AvroInputFormat({path!r}): reading Avro is not in this version; read Parquet, CSV, JSON or ORC"
        )


if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)
