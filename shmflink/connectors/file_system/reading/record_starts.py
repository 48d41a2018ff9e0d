"""Finds the start of the first record after any byte of a file, as splitting a file requires."""

from __future__ import annotations

import re
from typing import BinaryIO, Final

from shmflink.connectors.file_system.formats.csv.dialect import CsvDialect

__all__ = ["csv_record_start", "line_start"]

_PIECE_BYTES: Final = 4 << 10
_WINDOW_BYTES_MAX: Final = 1 << 20
_RECORD_BYTES_MAX: Final = 64 << 20  # as in the readers
_LINE_END: Final = re.compile(rb"\r\n?|\n")
_LF: Final = re.compile(rb"\n")


def line_start(file: BinaryIO, position: int, *, only_lf: bool = False) -> int:
    """The start of the first line that begins at or after `position`; the file's size if there is none.

    Lines end with LF, CR LF or CR, as in Java's `BufferedReader`, or `only_lf`.
    """
    line_end = _LF if only_lf else _LINE_END
    if position == 0:
        return 0
    at = position - 1  # the byte before may be the line end
    file.seek(at)
    while piece := file.read(_PIECE_BYTES):
        found = line_end.search(piece)
        if found is not None:
            after = piece[found.start() + 1 : found.start() + 2] or file.read(1)
            is_pair = piece[found.start() : found.start() + 1] == b"\r" and after == b"\n"
            return at + found.start() + (2 if is_pair else 1)
        at += len(piece)
    return at


def csv_record_start(file: BinaryIO, position: int, dialect: CsvDialect) -> int:
    """Like `line_start`, for records whose quoted fields may span several lines.

    Examines the quotes after `position`: a quote between a delimiter and text opens, a quote between text and a
    delimiter closes, and two adjacent quotes are text. Each shows whether `position` is inside quotes. If no quote
    within 1 MiB decides, the quotes before `position` do, in a file that begins with quotes; 64 MiB without quotes
    count as outside, as in other files. Badly quoted text can mislead this. Therefore readers check that the previous
    record ended at the position found here.
    """
    if position == 0 or dialect.is_line_based:
        return line_start(file, position)
    assert dialect.quote is not None, dialect
    quote = dialect.quote.encode()
    start = max(0, position - 2)  # the context of a quote directly before `position`
    file.seek(start)
    window = b""
    size = _PIECE_BYTES
    while True:
        piece = _read(file, size - len(window))
        window += piece
        is_whole = not piece or len(window) < size
        inside = _is_inside(window, quote, dialect.delimiter.encode(), is_first=start == 0, is_whole=is_whole)
        if inside is not None or is_whole or size >= _WINDOW_BYTES_MAX:
            break
        size *= 4
    if inside is None:
        inside = _is_inside_by_quotes_before(file, start, quote, dialect.delimiter.encode())
        file.seek(start + len(window))
    return _first_start(file, start, window, position - 1 - start, quote, is_inside=bool(inside))


def _is_inside_by_quotes_before(file: BinaryIO, position: int, quote: bytes, delimiter: bytes) -> bool | None:
    """Whether `position` is inside quotes, by the quotes within 64 MiB before it, in a file that begins with quotes."""
    file.seek(0)
    if quote not in _read(file, min(position, _WINDOW_BYTES_MAX)):
        return None
    size = _WINDOW_BYTES_MAX
    while size <= _RECORD_BYTES_MAX:
        start = max(0, position - size)
        file.seek(start)
        window = _read(file, position - start)
        quotes = window.count(quote)
        if not start:
            return bool(quotes % 2)  # outside at the start of the file
        inside = _is_inside(window, quote, delimiter, is_first=False, is_whole=False)
        if inside is not None:
            return inside ^ bool(quotes % 2)
        size *= 4
    return None


def _read(file: BinaryIO, count: int) -> bytes:
    pieces = []
    while count and (piece := file.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _is_inside(window: bytes, quote: bytes, delimiter: bytes, *, is_first: bool, is_whole: bool) -> bool | None:
    """Whether the start of `window` is inside quotes: the majority of the conclusive quotes; None if there is none."""
    borders = frozenset((*delimiter, 10, 13))
    before_text = 0 if is_first else 1  # the character before the first byte is not known
    votes = {True: 0, False: 0}
    quotes_before = 0
    if quote not in window:
        return None  # a regular expression takes a hundred times longer
    for run in re.finditer(re.escape(quote) + b"+", window):
        start, end = run.span()
        count = end - start
        if start >= before_text and (end < len(window) or is_whole):
            opens = start == 0 or window[start - 1] in borders
            closes = end == len(window) or window[end] in borders
            state = _state_before(count, opens=opens, closes=closes)
            if state is not None:
                votes[state ^ bool(quotes_before % 2)] += 1
        quotes_before += count
    if votes[True] == votes[False]:
        return None
    return votes[True] > votes[False]


def _state_before(count: int, *, opens: bool, closes: bool) -> bool | None:
    """Whether the text before a run of `count` quotes is quoted. `opens`, `closes`: a delimiter is before, after the
    run.
    """
    if count % 2 == 0:
        return None if opens and closes else True  # an empty field, or quotes inside text
    if opens == closes:
        return None
    return closes


def _first_start(file: BinaryIO, start: int, window: bytes, skip: int, quote: bytes, *, is_inside: bool) -> int:
    """The position after the first line end outside quotes that is at `skip` or later."""
    at = start
    search = re.compile(re.escape(quote) + rb"|\r\n?|\n")
    carry = False  # the previous piece ended with a CR
    while window:
        for found in search.finditer(window):
            token = found.group()
            if token == quote:
                is_inside = not is_inside
            elif not is_inside and at + found.end() - 1 >= start + skip:
                if token == b"\r" and found.end() == len(window):
                    carry = True
                    break
                return at + found.end()
        at += len(window)
        window = file.read(_PIECE_BYTES)
        if carry:
            return at + (1 if window.startswith(b"\n") else 0)
    return at
