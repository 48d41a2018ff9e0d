"""Parquet under PyFlink's module name; reading it with `ParquetFormat` is *shmflink only*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.absent import names_absent
from shmflink.connectors.file_system.formats.parquet.format import ParquetColumnarRowInputFormat, ParquetFormat
from shmflink.connectors.file_system.formats.parquet.output import ParquetBulkWriters

__all__ = ["ParquetBulkWriters", "ParquetColumnarRowInputFormat", "ParquetFormat"]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)
