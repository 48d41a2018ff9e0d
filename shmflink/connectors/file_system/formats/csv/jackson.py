"""CSV lines as Flink writes them, which are Jackson's (CsvEncoder with its loose check for quotes).

Text is quoted if it is longer than 24 characters, or if it contains the escape character or any character up to the
greatest of delimiter, quote and line end: with a comma, text with a blank is quoted; with `|`, every word is. Numbers,
booleans and nulls are never quoted. Floating-point numbers are Java's text. Unlike in Flink, text that looks like null
is quoted, and text that needs quotes is an error if quoting is disabled.
"""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from shmflink._core import csv_lines
from shmflink.connectors.formats.text import java_text
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import pc
from shmflink.errors import DataFormatError

__all__ = ["JacksonStyle", "java_numbers"]

_CHECKED_LENGTH: Final = 24  # CsvEncoder.MAX_QUOTE_CHECK: longer text is quoted without examining it
_UNIT_SEPARATOR: Final = 0x1F  # characters that occur in no number or date


@dataclass(frozen=True, slots=True)
class JacksonStyle:
    """If `quote` is None, nothing is quoted; if `escape` is None, only quotes are doubled."""

    delimiter: str = ","
    quote: str | None = '"'
    escape: str | None = None
    null_text: str = ""
    line_end: str = "\n"

    def head(self, names: list[str]) -> bytes:
        """The line with the columns' names."""
        return self._joined([self._quoted(pa.array([name])) for name in names])

    def lines(self, columns: pa.RecordBatch) -> bytes:
        """All rows."""
        return self._joined([self._cells(column) for column in columns.columns])

    def text(self, value: str) -> str:
        """One text as it is written in a line."""
        quoted: str = self._quoted(pa.array([value]))[0].as_py()
        return quoted

    def _joined(self, columns: list[pa.Array]) -> bytes:
        # Nulls have a text by now.
        rows = pc.binary_join_element_wise(*columns, self.delimiter)
        return b"".join([text for row in rows.to_pylist() for text in (row.encode(), self.line_end.encode())])

    def _cells(self, column: pa.Array) -> pa.Array:
        kind = column.type
        if pa.types.is_floating(kind):
            texts = java_numbers(column)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            texts = self._quoted(column.cast(pa.string()))
        else:
            texts = _plain_texts(column)
            if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)):
                texts = self._quoted(texts)
        return pc.fill_null(texts, self.null_text)

    def _quoted(self, texts: pa.Array) -> pa.Array:
        if self.quote is None:
            self._check_plain(texts)
            return texts
        inside = texts
        for char in filter(None, (self.quote, self.escape)):
            inside = pc.replace_substring(inside, char, char * 2)
        quoted = pc.binary_join_element_wise(self.quote, inside, self.quote, "")
        needs = pc.or_(
            pc.greater(pc.utf8_length(texts), _CHECKED_LENGTH), pc.match_substring_regex(texts, self._unsafe)
        )
        needs = pc.or_(needs, pc.equal(texts, self.null_text))
        return pc.if_else(needs, quoted, texts)

    def _check_plain(self, texts: pa.Array) -> None:
        """Raises DataFormatError for text that a reader would not read as one cell."""
        is_bad = pc.match_substring_regex(texts, f"[{re.escape(self.delimiter)}\r\n]")
        bad = texts.filter(is_bad)
        if len(bad):
            raise DataFormatError(f'CSV: {bad[0].as_py()!r} cannot be written with quoting="none"; allow quotes')

    @property
    def _unsafe(self) -> str:
        """A pattern of the characters for which text is quoted."""
        last = max(self.delimiter, self.quote or "", *self.line_end)
        escape = re.escape(self.escape) if self.escape else ""
        return rf"[\x00-\x{{{ord(last):x}}}{escape}]"


def java_numbers(column: pa.Array) -> pa.Array:
    """The text of floating-point numbers, as in Java's toString."""
    texts = column.cast(pa.string())
    size = pc.abs(column)
    is_plain = pc.and_(pc.greater_equal(size, 1e-3), pc.less(size, 1e7))
    is_plain = pc.and_(is_plain, pc.match_substring(texts, "."))
    if pc.all(pc.fill_null(is_plain, True)).as_py():
        return texts
    shape = "f32" if column.type == pa.float32() else "f64"
    # Per value: only those that Arrow and Java write in different ways.
    values = [
        text if plain or value is None else java_text(shape, value)
        for text, plain, value in zip(texts.to_pylist(), is_plain.to_pylist(), column.to_pylist(), strict=True)
    ]
    return pa.array(values, pa.string())


def _plain_texts(column: pa.Array) -> pa.Array:
    """Numbers, dates, times and bytes as the core's CSV writer writes them."""
    batch = pa.RecordBatch.from_arrays([column], names=["c"])
    options: dict[str, Any] = {"delimiter": _UNIT_SEPARATOR, "quote": ord('"'), "quoting": "none", "null_text": ""}
    texts = csv_lines(batch, **options).decode().split("\n")[:-1]
    return pc.if_else(column.is_valid(), pa.array(texts, pa.string()), None)
