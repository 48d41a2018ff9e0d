"""A file's text as bytes from a given position on: plain, decompressed, or converted to UTF-8."""

from __future__ import annotations

import bz2
import codecs
import lzma
import zipfile
import zlib
from abc import ABC, abstractmethod
from typing import IO, BinaryIO, Final

import pyarrow as pa

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.globs import has_hidden_name
from shmflink.connectors.file_system.reading.splits import compression_of
from shmflink.errors import ConfigurationError, DataFormatError

__all__ = ["DECOMPRESSION_ERRORS", "ByteStream", "LineCounter", "canonical_charset", "decompressed", "open_text"]

DECOMPRESSION_ERRORS: Final = (OSError, EOFError, ValueError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)
"""The exceptions that reading a `decompressed` file raises if the file is truncated or corrupt."""

_PIECE_BYTES: Final = 256 << 10
_UTF8: Final = ("utf-8", "ascii")


def canonical_charset(name: str) -> str:
    """Python's name of a charset, given in Java's or Python's spelling.

    Raises:
        ConfigurationError: unknown.
    """
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ConfigurationError(f"unknown charset `{name}`; for example UTF-8, ISO-8859-1, UTF-16") from None


def decompressed(path: str, file: BinaryIO, compression: str) -> IO[bytes]:
    """The text of a compressed file, to read from front to back.

    Raises:
        DataFormatError: a zip archive is corrupt, or does not contain exactly one file.
    """
    if compression == "xz":
        return lzma.open(file)  # Arrow has no xz
    if compression == "bz2":
        return bz2.open(file)  # pyarrow 26.0.1 does not get past an empty stream that other streams follow
    if compression == "zip":
        return _only_member(path, file)
    stream: IO[bytes] = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), compression)
    return stream


def _only_member(path: str, file: BinaryIO) -> IO[bytes]:
    """The one file of a zip archive; folders and hidden files, which operating systems add, do not count."""
    try:
        archive = zipfile.ZipFile(file)
        names = [name for name in archive.namelist() if not name.endswith("/") and not has_hidden_name(name)]
        if len(names) == 1:
            return archive.open(names[0])
    except (*DECOMPRESSION_ERRORS, NotImplementedError, RuntimeError) as error:
        raise DataFormatError(f"{path}: not a readable zip archive: {error}") from error
    held = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise DataFormatError(
        f"{path}: the zip archive contains {len(names)} files{f' ({held})' if names else ''}, but a reader "
        f"accepts only one: extract them, or put each into its own archive"
    )


class ByteStream(ABC):
    """Bytes of text, read once from front to back. Used by one thread."""

    @abstractmethod
    def readinto(self, view: memoryview) -> int:
        """Fills at least a part of `view`; 0 at the end.

        Raises:
            DataFormatError: the file is truncated or corrupt.
        """

    @abstractmethod
    def close(self) -> None: ...


def open_text(files: FileSystem, path: str, charset: str, start: int = 0) -> ByteStream:
    """The text of a file as UTF-8, from byte `start` of that text on.

    In plain UTF-8 files `start` is a position in the file; in other files everything before it is read as well.
    """
    compression = compression_of(path)
    if compression is None and charset in _UTF8:
        return _Plain(files.open(path), start)
    plain = _Plain(files.open(path), 0)
    stream: ByteStream = plain
    try:
        if compression is not None:
            stream = _Decompressed(path, plain, compression)
        if charset not in _UTF8:
            stream = _Recoded(path, stream, charset)
        _skip(stream, start)
    except BaseException:
        stream.close()
        raise
    return stream


class _Plain(ByteStream):
    def __init__(self, file: BinaryIO, start: int) -> None:
        self.file = file
        if start:
            file.seek(start)

    def readinto(self, view: memoryview) -> int:
        return self.file.readinto(view) or 0  # type: ignore[attr-defined]

    def close(self) -> None:
        self.file.close()


class _Decompressed(ByteStream):
    def __init__(self, path: str, source: _Plain, compression: str) -> None:
        self._path = path
        self._source = source
        self._bytes_read = 0
        self._file = decompressed(path, source.file, compression)

    def readinto(self, view: memoryview) -> int:
        try:
            data = self._file.read(min(len(view), _PIECE_BYTES))
        except DECOMPRESSION_ERRORS as error:
            raise DataFormatError(
                f"{self._path}: cannot be decompressed after byte {self._bytes_read} of its text: "
                f"the file is truncated or corrupt: {error}"
            ) from error
        self._bytes_read += len(data)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        self._source.close()


class _Recoded(ByteStream):
    """Text of another charset as UTF-8."""

    def __init__(self, path: str, source: ByteStream, charset: str) -> None:
        self._path = path
        self._source = source
        self._charset = charset
        self._decoder = codecs.getincrementaldecoder(charset)()
        self._piece = bytearray(_PIECE_BYTES)
        self._bytes_read = 0
        self._text = b""

    def readinto(self, view: memoryview) -> int:
        while not self._text:
            count = self._source.readinto(memoryview(self._piece))
            pending = len(self._decoder.getstate()[0])
            try:
                self._text = self._decoder.decode(bytes(self._piece[:count]), final=not count).encode()
            except UnicodeDecodeError as error:
                place = self._bytes_read - pending + error.start
                raise DataFormatError(
                    f"{self._path}: byte {place} is not valid {self._charset} ({error.reason}); name the file's charset"
                ) from error
            self._bytes_read += count
            if not count and not self._text:
                return 0
        taken = min(len(view), len(self._text))
        view[:taken] = self._text[:taken]
        self._text = self._text[taken:]
        return taken

    def close(self) -> None:
        self._source.close()


class LineCounter:
    """Determines in which line a byte of a file's text is. Reads the file only on request, and each part once."""

    def __init__(self, files: FileSystem, path: str, charset: str) -> None:
        self._files = files
        self._path = path
        self._charset = charset
        self._stream: ByteStream | None = None
        self._piece = bytearray()
        self._place = 0
        self._lines = 0

    def line_of(self, place: int) -> int:
        """The line (from 1) of a byte; positions must not decrease from call to call."""
        if self._stream is None:
            self._stream = open_text(self._files, self._path, self._charset)
            self._piece = bytearray(_PIECE_BYTES)
        while self._place < place:
            count = self._stream.readinto(memoryview(self._piece)[: place - self._place])
            if not count:
                break
            self._lines += self._piece.count(b"\n", 0, count)
            self._place += count
        return self._lines + 1

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


def _skip(stream: ByteStream, count: int) -> None:
    piece = bytearray(min(count, _PIECE_BYTES))
    while count and (read := stream.readinto(memoryview(piece)[: min(count, len(piece))])):
        count -= read
