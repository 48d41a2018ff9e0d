"""Flink's older name for the file sink (PyFlink: StreamingFileSink)."""

from __future__ import annotations

from typing import ClassVar

from shmflink.connectors.file_system.writing.encoders import BulkWriterFactory, Encoder
from shmflink.connectors.file_system.writing.sink import BulkFormatBuilder, FileSink, RowFormatBuilder

__all__ = ["StreamingFileSink"]


class StreamingFileSink:
    """Builds a `FileSink`, for `add_sink` as well as `sink_to`.

    Without checkpoints, the files appear when the job ends; Flink leaves them under their hidden names.
    """

    BaseBuilder: ClassVar = FileSink.BaseBuilder
    DefaultRowFormatBuilder: ClassVar = RowFormatBuilder
    DefaultBulkFormatBuilder: ClassVar = BulkFormatBuilder

    @staticmethod
    def for_row_format(base_path: str, encoder: Encoder) -> RowFormatBuilder:
        """Records one after another, for example lines of text."""
        return FileSink.for_row_format(base_path, encoder)

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: BulkWriterFactory) -> BulkFormatBuilder:
        """Records in batches, for example Parquet."""
        return FileSink.for_bulk_format(base_path, writer_factory)
