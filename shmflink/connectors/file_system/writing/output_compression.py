"""Compression of text output files as a whole."""

from __future__ import annotations

import bz2
import zlib
from typing import Any, BinaryIO, Final, Literal, Protocol, TypeAlias

import pyarrow as pa

from shmflink.errors import ConfigurationError

__all__ = ["EXTENSIONS", "ByteSink", "TextCompression", "check_compression", "compressed"]

TextCompression: TypeAlias = Literal["none", "gzip", "zstd", "bz2"]

EXTENSIONS: Final = {"none": "", "gzip": ".gz", "zstd": ".zst", "bz2": ".bz2"}
"""The ending of a file's name, from which the source determines the codec."""

_LEVELS: Final = {"gzip": (1, 9), "zstd": (1, 22), "bz2": (1, 9)}
_GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 31
"""zlib: a window of 2**15 bytes, with the header and trailer of gzip."""

_FRAME_BYTES: Final = 4 << 20


class ByteSink(Protocol):
    """Receives the bytes of a file in order."""

    def write(self, data: Any) -> object: ...

    def close(self) -> None:
        """Completes the content; the file below stays open."""
        ...


def check_compression(compression: str, level: int | None) -> None:
    """Raises ConfigurationError for an unknown codec or level."""
    if compression not in EXTENSIONS:
        raise ConfigurationError(f"unknown compression `{compression}` of text files; one of {', '.join(EXTENSIONS)}")
    if level is None:
        return
    low, high = _LEVELS.get(compression, (0, -1))
    if not low <= level <= high:
        raise ConfigurationError(
            f"compression_level={level}: {compression} "
            + (f"has levels {low} to {high}" if compression in _LEVELS else "has no levels")
        )


def compressed(file: BinaryIO, compression: TextCompression, level: int | None = None) -> ByteSink:
    """A sink that compresses its bytes into `file`."""
    match compression:
        case "none":
            return _Plain(file)
        case "gzip":
            return _Incremental(file, zlib.compressobj(_GZIP_LEVEL if level is None else level, wbits=_GZIP_WINDOW))
        case "bz2":
            return _Incremental(file, bz2.BZ2Compressor(9 if level is None else level))
        case "zstd" if level is not None:
            return _Frames(file, pa.Codec("zstd", compression_level=level))
    return _Stream(file, compression)


class _Plain:
    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write

    def close(self) -> None:
        """Nothing to complete."""


class _Compressor(Protocol):
    def compress(self, data: Any, /) -> bytes: ...

    def flush(self) -> bytes: ...


class _Incremental:
    def __init__(self, file: BinaryIO, compressor: _Compressor) -> None:
        self._file = file
        self._compressor = compressor

    def write(self, data: pa.Buffer | bytes) -> None:
        self._file.write(self._compressor.compress(data))

    def close(self) -> None:
        self._file.write(self._compressor.flush())


class _Stream:
    """Arrow's own streams, which have no compression levels."""

    def __init__(self, file: BinaryIO, compression: str) -> None:
        self._stream = pa.CompressedOutputStream(pa.PythonFile(_KeptOpen(file), "w"), compression)
        self.write = self._stream.write

    def close(self) -> None:
        self._stream.close()


class _Frames:
    """A sequence of frames, which every zstd reader reads as one file."""

    def __init__(self, file: BinaryIO, codec: pa.Codec) -> None:
        self._file = file
        self._codec = codec
        self._waiting: list[pa.Buffer | bytes] = []
        self._waiting_bytes = 0

    def write(self, data: pa.Buffer | bytes) -> None:
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        if self._waiting_bytes >= _FRAME_BYTES:
            self.close()

    def close(self) -> None:
        if self._waiting:
            self._file.write(self._codec.compress(b"".join(self._waiting)))
        self._waiting, self._waiting_bytes = [], 0


class _KeptOpen:
    """Ignores `close`: a stream closes its underlying file, but ours must stay open until it is published."""

    closed: Final = False

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write
        self.flush = file.flush

    def close(self) -> None:
        """Not yet."""
