"""Text lines in: byte ranges of files as Arrow string columns, with no Python per line."""

from __future__ import annotations

import codecs
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa

from shmflink._core import LineParser
from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.reading.byte_streams import (
    DECOMPRESSION_ERRORS,
    LineCounter,
    canonical_charset,
    decompressed,
    open_text,
)
from shmflink.connectors.file_system.reading.input_format import FileFormat
from shmflink.connectors.file_system.reading.malformed import MalformedRows, OnErrorPolicy
from shmflink.connectors.file_system.reading.record_cursor import RecordCursor, TextPart
from shmflink.connectors.file_system.reading.record_starts import line_start
from shmflink.connectors.file_system.reading.splits import FileRange, compression_of
from shmflink.connectors.formats.scalar_rows import scalar_schema
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.batch import Batch
from shmflink.core.lazy_imports import pc
from shmflink.core.types.shapes import VALUE_COLUMN
from shmflink.core.types.typeinfo import TypeInformation, Types
from shmflink.errors import DataFormatError

__all__ = [
    "CHUNK_BYTES",
    "LINE_BYTES_MAX",
    "RangeCursor",
    "StreamCursor",
    "StreamFormat",
    "TextLinesFormat",
    "canonical_charset",
    "is_byte_lined",
    "line_start",
]

CHUNK_BYTES: Final = 256 << 10
"""How many bytes are read for one batch."""

LINE_BYTES_MAX: Final = 256 << 20
"""A longer line is an error: the file is hardly text."""

_WIDE_CHARSETS: Final = ("utf-16", "utf-32", "utf-7", "utf_16", "utf_32", "utf_7")
_LINE_TYPE: Final = Types.STRING()
_SCHEMA: Final = scalar_schema(_LINE_TYPE)


def is_byte_lined(charset: str) -> bool:
    """True when the bytes 10 and 13 are always line ends, so that a file can be split."""
    return not charset.startswith(_WIDE_CHARSETS)


class StreamFormat(FileFormat):
    """Reads records one after the other from a file's bytes; the file's name determines the decompression."""

    is_text = True

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> StreamFormat:
        """Text lines as strings, without their ends (LF, CR LF or CR)."""
        return TextLinesFormat(charset_name)


class TextLinesFormat(StreamFormat):
    """Lines as strings, without their ends."""

    def __init__(self, charset: str = "UTF-8") -> None:
        """Raises ConfigurationError for an unknown charset."""
        self._charset = canonical_charset(charset)
        self.is_splittable = is_byte_lined(self._charset)

    @property
    def charset(self) -> str:
        """The charset's canonical name."""
        return self._charset

    def open_split(self, split: Split) -> SplitCursor:
        part: FileRange = split.payload
        if self._charset in ("utf-8", "ascii"):
            return self._open_columns(split, part)
        cursor = RangeCursor if self.may_cut(part.path) else StreamCursor
        return cursor(split, self._charset, self.files)

    def _open_columns(self, split: Split, part: FileRange) -> SplitCursor:
        """Lines of UTF-8, which the core splits."""
        is_whole = compression_of(part.path) is not None
        start = part.offset + part.position
        if part.offset and not part.position:
            file = self.files.open(part.path)
            try:
                start = line_start(file, part.offset)
            finally:
                file.close()
        text = TextPart(
            part.path,
            open_text(self.files, part.path, self._charset, start),
            start,
            None if is_whole else part.offset + part.length,
            LineCounter(self.files, part.path, self._charset),
            record_bytes_max=LINE_BYTES_MAX,
        )
        return RecordCursor(split, text, LineParser(_SCHEMA), MalformedRows(OnErrorPolicy()), _explain, _LINE_TYPE)

    def infer_schema(self, path: str) -> pa.Schema:
        """One string column, independent of the content."""
        return pa.schema([(VALUE_COLUMN, pa.string())])

    @property
    def produced_type(self) -> TypeInformation | None:
        return _LINE_TYPE


class RangeCursor(SplitCursor):
    """The lines that begin inside a byte range of a plain file.

    A line belongs to the split in which it begins.
    """

    def __init__(self, split: Split, charset: str, files: FileSystem) -> None:
        self._split = split
        self._range: FileRange = split.payload
        self._charset = charset
        self._file = files.open(self._range.path)
        end = self._range.offset + self._range.length
        self._position = line_start(self._file, self._range.offset + self._range.position)
        # A range that starts inside a line which reaches beyond it has no line of its own.
        self._end = max(self._position, line_start(self._file, end))
        self._file.seek(self._position)
        self._carry = b""

    def next_batch(self) -> Batch | Poll | None:
        while self._position < self._end:
            start = self._position
            unread = self._end - start - len(self._carry)
            # The size of a read grows with an unfinished line, so that the line is not copied over and over.
            data = self._carry + self._file.read(min(max(CHUNK_BYTES, len(self._carry)), unread))
            is_last = len(data) >= self._end - start or len(data) == len(self._carry)
            lines = data if is_last else _complete_lines(data, self._range.path)
            self._carry = data[len(lines) :]
            self._position = self._end if is_last else start + len(lines)
            if lines:
                return _batch(_to_utf8(lines, self._charset, self._range.path, start))
        return None

    def remaining(self) -> Split:
        done = self._position - self._range.offset
        return Split(self._split.split_id, replace(self._range, position=done), self._split.size)

    def close(self) -> None:
        self._file.close()


class StreamCursor(SplitCursor):
    """The lines of a file that can only be read from its start: compressed, or in a wide charset.

    `position` counts lines; resuming means reading them again and skipping them, as in Flink.
    """

    def __init__(self, split: Split, charset: str, files: FileSystem) -> None:
        self._split = split
        self._path: str = split.payload.path
        self._skip: int = split.payload.position
        self._lines_read = 0
        compression = compression_of(self._path)
        self._source = files.open(self._path)
        self._bytes_read = 0
        self._file: Any = self._source
        if compression is not None:
            try:
                self._file = decompressed(self._path, self._source, compression)
            except BaseException:
                self._source.close()
                raise
        self._decoder = codecs.getincrementaldecoder(charset)()
        self._carry = b""
        self._is_at_end = False

    def next_batch(self) -> Batch | Poll | None:
        while not self._is_at_end:
            data = self._carry + self._read()
            lines = data if self._is_at_end else _complete_lines(data, self._path)
            self._carry = data[len(lines) :]
            column = _split_lines(lines)
            already = max(0, min(len(column), self._skip - self._lines_read))
            self._lines_read += len(column)
            if len(column) > already:
                return _column_batch(column.slice(already))
        return None

    def remaining(self) -> Split:
        whole: FileRange = self._split.payload
        lines = max(self._lines_read, self._skip)
        return Split(self._split.split_id, replace(whole, position=lines), self._split.size)

    def close(self) -> None:
        self._file.close()
        self._source.close()

    def _read(self) -> bytes:
        """The next piece of text, as UTF-8; sets `_is_at_end` at the last piece."""
        try:
            raw = bytes(self._file.read(max(CHUNK_BYTES, len(self._carry))))
        except DECOMPRESSION_ERRORS as error:
            raise _unreadable(self._path, self._bytes_read, error) from error
        self._is_at_end = not raw
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(raw, final=self._is_at_end)
        except UnicodeDecodeError as error:
            raise _malformed(self._path, self._bytes_read - pending + error.start, error) from error
        self._bytes_read += len(raw)
        return text.encode()


def _explain(_column: int, reason: str) -> str:
    return f"{reason}; name the file's charset in StreamFormat.text_line_format(charset)"


def _complete_lines(data: bytes, path: str) -> bytes:
    """`data` up to its last line end. A CR at the very end waits: an LF may follow."""
    cut = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1)) + 1
    if cut == 0 and len(data) > LINE_BYTES_MAX:
        raise DataFormatError(f"{path}: a line is longer than {LINE_BYTES_MAX} bytes; is this a text file?")
    return data[:cut]


def _to_utf8(data: bytes, charset: str, path: str, offset: int) -> bytes:
    """`data`, which is valid text in `charset` from byte `offset` of the file on, as UTF-8."""
    if data.isascii() and charset in ("utf-8", "ascii", "iso8859-1"):
        return data
    try:
        text = data.decode(charset)
    except UnicodeDecodeError as error:
        raise _malformed(path, offset + error.start, error) from error
    return data if charset == "utf-8" else text.encode()


def _split_lines(data: bytes) -> pa.StringArray:
    """The lines of valid UTF-8 `data`, without their ends.

    Non-empty text after the last line end is a line, too.
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data:
        return pa.array([], pa.string())
    text = pa.StringArray.from_buffers(1, pa.array([0, len(data)], pa.int32()).buffers()[1], pa.py_buffer(data))
    lines = pc.split_pattern(text, "\n").values
    return lines.slice(0, len(lines) - 1) if data.endswith(b"\n") else lines


def _batch(data: bytes) -> Batch:
    return _column_batch(_split_lines(data))


def _column_batch(column: pa.StringArray) -> Batch:
    return Batch.of_columns(pa.record_batch([column], schema=_SCHEMA), _LINE_TYPE)


def _malformed(path: str, byte: int, error: UnicodeDecodeError) -> DataFormatError:
    return DataFormatError(
        f"{path}: byte {byte} is not valid {error.encoding} ({error.reason}); "
        f"name the file's charset in StreamFormat.text_line_format(charset)"
    )


def _unreadable(path: str, byte: int, error: Exception) -> DataFormatError:
    return DataFormatError(f"{path}: cannot be decompressed after byte {byte} of its text: {error}")
