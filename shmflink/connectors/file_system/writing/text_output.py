"""CSV and JSON lines out: the core turns columns into text, which is compressed if requested."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, BinaryIO, Final, Literal, TypeAlias

import pyarrow as pa

from shmflink._core import csv_lines, json_lines
from shmflink.connectors.file_system.writing.encoders import BulkWriter, BulkWriterFactory, conform, no_rows
from shmflink.connectors.file_system.writing.output_compression import (
    EXTENSIONS,
    ByteSink,
    TextCompression,
    check_compression,
    compressed,
)
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["CsvStyle", "CsvWriterFactory", "JsonLinesWriterFactory", "Timestamps"]

Timestamps: TypeAlias = Literal["sql", "iso"]
"""`2020-12-30 12:13:14.5` or `2020-12-30T12:13:14.5`, followed by `Z` if the column has a time zone."""

_STANDARDS: Final = ("sql", "iso")
_QUOTINGS: Final = ("minimal", "all", "none")
_PIECE_ROWS: Final = 65_536


@dataclass(frozen=True, slots=True)
class CsvStyle:
    """How CSV is written. `null_text` is never quoted; a string that equals it is quoted.

    `quoting` is `minimal`, `all` (everything but nulls) or `none`.
    """

    delimiter: str = ","
    header: bool = True
    quoting: str = "minimal"
    quote: str = '"'
    null_text: str = ""
    line_end: str = "\n"
    timestamps: str = "sql"

    def __post_init__(self) -> None:
        for name, text in (("delimiter", self.delimiter), ("quote", self.quote)):
            if len(text) != 1 or not text.isascii() or text.isalnum() or text in "+-.\r\n\0":
                raise ConfigurationError(
                    f"CSV {name} {text!r}: must be one ASCII character, and not a letter, digit, sign, dot or line end"
                )
        if self.delimiter == self.quote:
            raise ConfigurationError(f"CSV: {self.quote!r} cannot be both delimiter and quote")
        if {self.delimiter, self.quote, "\r", "\n"} & set(self.null_text):
            raise ConfigurationError(f"CSV null_text {self.null_text!r}: it must not need quotes")
        _check_choice("CSV quoting", self.quoting, _QUOTINGS)
        _check_choice("CSV timestamps", self.timestamps, _STANDARDS)
        if self.line_end not in ("\n", "\r\n"):
            raise ConfigurationError(f"CSV line_end {self.line_end!r}: must be `\\n` or `\\r\\n`")


class _TextWriterFactory(BulkWriterFactory):
    """Text files with one row per line."""

    def __init__(
        self, extension: str, schema: pa.Schema | None, compression: TextCompression, compression_level: int | None
    ) -> None:
        check_compression(compression, compression_level)
        super().__init__(schema)
        self._compression: TextCompression = compression
        self._level = compression_level
        self.extension = extension + EXTENSIONS[compression]
        self.is_resumable = compression == "none"

    def create(self, file: BinaryIO, first: pa.RecordBatch) -> BulkWriter:
        sink = compressed(file, self._compression, self._level)
        head = self.head(first)
        if head:
            sink.write(head)
        return _TextWriter(sink, self, first.schema)

    def head(self, first: pa.RecordBatch) -> bytes:
        """The beginning of each file."""
        return b""

    def check_columns(self, columns: pa.Schema) -> None:
        self.lines(no_rows(columns))

    @abstractmethod
    def lines(self, columns: pa.RecordBatch) -> bytes:
        """The rows as text."""


class _TextWriter:
    buffered_bytes: Final = 0
    expected_bytes: Final = 0

    def __init__(self, sink: ByteSink, factory: _TextWriterFactory, schema: pa.Schema) -> None:
        self._sink = sink
        self._factory = factory
        self._schema = schema

    def write(self, columns: pa.RecordBatch) -> None:
        columns = conform(columns, self._schema)
        for start in range(0, columns.num_rows, _PIECE_ROWS):  # text is larger than columns: convert a piece at a time
            self._sink.write(self._factory.lines(columns.slice(start, _PIECE_ROWS)))

    def flush(self) -> None:
        """Does nothing: only the codec buffers, and little."""

    def close(self) -> None:
        self._sink.close()

    def abandon(self) -> None:
        """Does nothing: there is nothing to discard."""


class CsvWriterFactory(_TextWriterFactory):
    """*shmflink only.* CSV files. Bytes are written as base64, nested values as JSON."""

    def __init__(
        self,
        dialect: CsvStyle | None = None,
        schema: pa.Schema | None = None,
        compression: TextCompression = "none",
        compression_level: int | None = None,
    ) -> None:
        super().__init__(".csv", schema, compression, compression_level)
        self._dialect = dialect or CsvStyle()

    def head(self, first: pa.RecordBatch) -> bytes:
        return csv_lines(first, header=True, **self._options()) if self._dialect.header else b""

    def lines(self, columns: pa.RecordBatch) -> bytes:
        return csv_lines(columns, **self._options())

    def _options(self) -> dict[str, Any]:
        dialect = self._dialect
        return {
            "delimiter": ord(dialect.delimiter),
            "quote": ord(dialect.quote),
            "quoting": dialect.quoting,
            "null_text": dialect.null_text,
            "crlf": dialect.line_end == "\r\n",
            "iso_timestamps": dialect.timestamps == "iso",
        }


class JsonLinesWriterFactory(_TextWriterFactory):
    """*shmflink only.* One JSON object per line. NaN and infinities are written as null, bytes as base64."""

    def __init__(
        self,
        schema: pa.Schema | None = None,
        compression: TextCompression = "none",
        compression_level: int | None = None,
        omit_nulls: bool = False,
        timestamps: Timestamps = "sql",
    ) -> None:
        _check_choice("JSON timestamps", timestamps, _STANDARDS)
        super().__init__(".jsonl", schema, compression, compression_level)
        self._omit_nulls = omit_nulls
        self._is_iso = timestamps == "iso"

    def lines(self, columns: pa.RecordBatch) -> bytes:
        return json_lines(columns, iso_timestamps=self._is_iso, omit_nulls=self._omit_nulls)


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ConfigurationError(f"{what} {value!r}: one of {', '.join(choices)}")
