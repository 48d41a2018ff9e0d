"""The common part of Arrow IPC and ORC as input formats."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import pyarrow as pa

from shmflink.connectors.file_system.reading.arrow_cursor import PieceFile
from shmflink.connectors.file_system.reading.columns.schemas import described_schema
from shmflink.connectors.file_system.reading.input_format import BulkFormat

__all__ = ["PieceFormat"]


class PieceFormat(BulkFormat):
    """A format whose files have pieces and declare their own schema."""

    @abstractmethod
    def open_file(self, path: str) -> PieceFile:
        """Opens the file. DataFormatError if it does not have this format."""

    def check(self, path: str) -> None:
        """Raises DataFormatError if the first file does not have this format."""
        self.infer_schema(path)

    def infer_schema(self, path: str) -> pa.Schema:
        """The columns that the file declares."""
        file = self.open_file(path)
        try:
            return described_schema(file.schema, path)
        finally:
            file.close()

    def with_schema(self, schema: pa.Schema) -> Self:
        return self.wanting(schema=schema)

    def with_row_numbers(self, name: str) -> Self:
        return self.wanting(row_numbers=name)
