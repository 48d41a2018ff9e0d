"""ORC as an input format, by pyarrow: stripe by stripe."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.reading.arrow_cursor import PieceFile, PiecesCursor, pieces_of_range
from shmflink.connectors.file_system.reading.columns.schemas import plain_schema
from shmflink.connectors.file_system.reading.piece_format import PieceFormat
from shmflink.connectors.split_reader import SplitCursor
from shmflink.errors import ConfigurationError, DataFormatError

__all__ = ["OrcFormat"]


class OrcFormat(PieceFormat):
    """*shmflink only.* ORC files as rows of the files' own types; decodes one stripe at a time."""

    def open_split(self, split: Split) -> SplitCursor:
        path = split.payload.path
        file = self.open_file(path)
        try:
            if self.known is not None:
                self.known.check(path, file.schema.names)
            schema = plain_schema(file.schema, path) if self.wanted.schema is None else self.wanted.schema
            wanted = set(schema.names)
            file.columns = [name for name in file.schema.names if name in wanted]
            pieces = pieces_of_range(file, split.payload)
            return PiecesCursor(split, file, pieces, schema, self.wanted.row_numbers)
        except BaseException:
            file.close()
            raise

    def open_file(self, path: str) -> _Stripes:
        return _Stripes(self.files, path)


class _Stripes(PieceFile):
    def __init__(self, files: FileSystem, path: str) -> None:
        try:
            from pyarrow import orc  # not every build of pyarrow has it
        except ImportError as error:
            raise ConfigurationError(f"this pyarrow was built without ORC: {error}") from error
        self._path = path
        self._source = files.open_arrow(path)
        try:
            self._file = orc.ORCFile(self._source)
            self.schema = self._file.schema
            self.columns: list[str] = self.schema.names
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            self._source.close()
            raise DataFormatError(f"{path}: not a readable ORC file: {error}") from error
        self.num_pieces = self._file.nstripes
        self.size = self._source.size()

    def rows_before(self, piece: int) -> int:
        # pyarrow does not expose the rows of a stripe; one of its columns does, if there is one.
        first = self.schema.names[:1]
        return sum(self._file.read_stripe(before, columns=first).num_rows for before in range(piece))

    def read(self, piece: int) -> Iterator[pa.RecordBatch]:
        if self.columns:
            try:
                yield self._file.read_stripe(piece, columns=self.columns)
            except pa.ArrowInvalid as error:
                if "nanosecond resolution" not in str(error):
                    raise
                raise self._out_of_range(piece, error) from error
        else:
            yield self._file.read_stripe(piece, columns=self.schema.names[:1]).select([])

    def close(self) -> None:
        self._source.close()

    def _out_of_range(self, piece: int, error: pa.ArrowInvalid) -> DataFormatError:
        """The error for a valid stripe that Arrow's reader cannot read because it supports only nanoseconds."""
        return DataFormatError(
            f"{self._path}: column {self._first_out_of_range(piece)!r}: timestamps before 1677 or after 2262 are not "
            f"supported (the file is not corrupt): Arrow's ORC reader converts to 64-bit nanoseconds ({error}). Omit "
            f"the column with columns=[...], or convert the file to Parquet"
        )

    def _first_out_of_range(self, piece: int) -> str:
        for name in self.columns:
            try:
                self._file.read_stripe(piece, columns=[name])
            except pa.ArrowInvalid:
                return name
        return ", ".join(self.columns)
