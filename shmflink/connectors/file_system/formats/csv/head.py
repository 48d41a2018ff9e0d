"""What precedes the data of a CSV file: lines to skip, and the header."""

from __future__ import annotations

import codecs
from typing import Final

import pyarrow as pa

from shmflink._core import CsvParser
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.csv.dialect import CsvDialect, ValueRules
from shmflink.connectors.file_system.reading.byte_streams import open_text
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import DataFormatError

__all__ = ["SAMPLE_BYTES", "CsvHead", "FileHead", "read_head", "read_records", "read_sample"]

SAMPLE_BYTES: Final = 1 << 20
"""How much of a file's text is examined for its names and types."""

_HEAD_BYTES: Final = 64 << 10
_RECORD_BYTES_MAX: Final = 64 << 20  # as in the readers


@dataclass(frozen=True, slots=True)
class CsvHead:
    """The user's options for the start of files: whether there is a header, the names, the number of lines to skip.

    `by_position` are names that are assigned by position if the header lacks some of them.
    """

    has_header: bool = True
    names: tuple[str, ...] | None = None
    skip_rows: int = 0
    skip_data_rows: int = 0
    by_position: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class FileHead:
    """A file's columns, where its data starts, and how to read more of its start."""

    path: str
    names: tuple[str, ...]
    end: int
    files: FileSystem
    charset: str


def read_head(files: FileSystem, path: str, charset: str, head: CsvHead, dialect: CsvDialect) -> FileHead:
    """Reads the column names of a file and finds where its data starts.

    Raises:
        DataFormatError: there is no text or no header, or the header does not match the names.
    """
    parser = dialect.parser(pa.schema([]), [], 1, ValueRules())
    for size in (_HEAD_BYTES, SAMPLE_BYTES, 8 * SAMPLE_BYTES, _RECORD_BYTES_MAX):
        text = read_sample(files, path, charset, size)
        is_whole = len(text) < size
        found = _find(parser, path, text, head, is_whole=is_whole)
        if found is not None:
            names, end = found
            return FileHead(path, names, end, files, charset)
    raise DataFormatError(f"{path}: no record ends in its first {size} bytes; is it CSV?")


def read_records(head: FileHead, parser: CsvParser) -> tuple[bytes, bool]:
    """A sample of the file's data that holds a whole record, and whether it is all of the data."""
    for size in (SAMPLE_BYTES, 8 * SAMPLE_BYTES, _RECORD_BYTES_MAX):
        text = read_sample(head.files, head.path, head.charset, size, head.end)
        is_last = len(text) < size
        if is_last or parser.first_record(text, 0, len(text), is_last=False) is not None:
            break
    return text, is_last


def read_sample(files: FileSystem, path: str, charset: str, size: int, start: int = 0) -> bytes:
    """This many bytes of the text from `start` on, fewer only at its end."""
    stream = open_text(files, path, charset, start)
    try:
        piece = bytearray(size)
        filled = 0
        with memoryview(piece) as view:
            while filled < size and (count := stream.readinto(view[filled:])):
                filled += count
        return bytes(piece[:filled])
    finally:
        stream.close()


def _find(
    parser: CsvParser, path: str, text: bytes, head: CsvHead, *, is_whole: bool
) -> tuple[tuple[str, ...], int] | None:
    """The names and where the data starts; None if `text` is too short."""
    start = len(codecs.BOM_UTF8) if text.startswith(codecs.BOM_UTF8) else 0
    for _ in range(head.skip_rows):
        line_end = text.find(b"\n", start)
        if line_end < 0:
            return ((head.names or ()), len(text)) if is_whole else None
        start = line_end + 1
    record = parser.first_record(text, start, len(text), is_last=is_whole)
    if record is None:
        if not is_whole:
            return None
        return head.names or (), len(text)
    fields, end = record
    data = end if head.has_header else start
    for _ in range(head.skip_data_rows):
        skipped = parser.first_record(text, data, len(text), is_last=is_whole)
        if skipped is None:
            if not is_whole:
                return None
            break
        data = skipped[1]
    return _names(path, fields, head), data


def _names(path: str, fields: list[bytes], head: CsvHead) -> tuple[str, ...]:
    if head.names is not None:
        return head.names
    if not head.has_header:
        return tuple(f"f{index}" for index in range(len(fields)))
    try:
        names = tuple(field.decode() for field in fields)
        if head.by_position is not None and len(names) == len(head.by_position) and set(head.by_position) - set(names):
            return head.by_position
        return names
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{path}: the header is not valid UTF-8; name the file's encoding") from error
