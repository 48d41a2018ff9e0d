"""The cursor of formats whose records the core parses from blocks of text: CSV and JSON lines."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import pyarrow as pa

from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.reading.byte_streams import ByteStream, LineCounter
from shmflink.connectors.file_system.reading.malformed import MalformedRow, MalformedRows
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.connectors.split_reader import SplitCursor
from shmflink.core.batch import Batch
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import DataFormatError, InternalError
from shmflink.operators.base import SideOutput

__all__ = ["BATCH_ROWS", "BLOCK_BYTES", "RECORD_BYTES_MAX", "RecordCursor", "RecordParser", "RecordRange", "TextPart"]

BLOCK_BYTES: Final = 4 << 20
"""Text in memory at a time, unless one record is longer."""

BATCH_ROWS: Final = 1 << 16
"""Rows of a batch at most."""

RECORD_BYTES_MAX: Final = 64 << 20
"""A longer record is malformed, unless the format sets another limit."""

_TAIL_BYTES: Final = 64 << 10  # read beyond the end of a range at first, to complete its last record

BadRecord = tuple[int, int, int, str]
"""Start and end in the block, the column or -1, the reason."""


class RecordParser(Protocol):
    """`_core.CsvParser` and `_core.JsonParser`."""

    def parse(
        self, text: bytearray, start: int, end: int, *, limit: int, is_last: bool, max_rows: int
    ) -> tuple[pa.RecordBatch, int, list[BadRecord]]: ...


@dataclass(frozen=True, slots=True)
class RecordRange(FileRange):
    """A range whose malformed rows before byte `reported` of the text have already been emitted."""

    reported: int = 0


@dataclass(frozen=True, slots=True)
class TextPart:
    """The part of a file's text that a cursor reads: records that start in [start, end). `end` None: to the end.

    `stream` is at `start`, where a record starts. `check_end` receives the end of the last record. A record that is
    longer than `record_bytes_max` is malformed.
    """

    path: str
    stream: ByteStream
    start: int
    end: int | None
    lines: LineCounter
    check_end: Callable[[int], None] | None = None
    record_bytes_max: int = RECORD_BYTES_MAX


class RecordCursor(SplitCursor):
    """Reads blocks of text, parses them, and treats malformed records.

    `explain` turns (column, reason) into the message; columns are those of the batches, -1 if the error belongs to
    none.
    """

    def __init__(
        self,
        split: Split,
        part: TextPart,
        parser: RecordParser,
        malformed: MalformedRows,
        explain: Callable[[int, str], str],
        row_type: Any = None,
    ) -> None:
        self._split = split
        self._part = part
        self._parser = parser
        self._malformed = malformed
        self._explain = explain
        self._row_type = row_type
        self._buffer = bytearray(_block_bytes(part))
        self._begin = 0  # start of the unparsed text, in the buffer
        self._filled = 0
        self._place = part.start  # position of buffer[0] in the text
        self._is_at_end = False  # whether the text has ended
        self._wanted = len(self._buffer)
        self._reported = getattr(split.payload, "reported", 0)
        self._held: deque[tuple[Batch | None, int]] = deque()
        self._position = part.start  # position after the returned records

    def next_batch(self) -> Batch | SideOutput | Poll | None:
        if self._held:
            batch, self._position = self._held.popleft()
            if batch is not None:
                return batch
        while not self._has_ended():
            self._fill()
            found = self._parse()
            if found is not None:
                return found
        self._position = self._place + self._begin
        if self._part.check_end is not None:
            self._part.check_end(self._position)
        return None

    def remaining(self) -> Split:
        whole: FileRange = self._split.payload
        reported = max(self._reported, self._place + self._begin if self._held else 0)
        place = self._position - whole.offset
        rest = RecordRange(whole.path, whole.offset, whole.length, place, whole.listed, reported)
        return Split(self._split.split_id, rest, self._split.size)

    def close(self) -> None:
        self._part.stream.close()
        self._part.lines.close()

    def _has_ended(self) -> bool:
        end = self._part.end
        if end is not None and self._place + self._begin >= end:
            return True
        return self._is_at_end and self._begin == self._filled

    def _fill(self) -> None:
        """Reads more if less than half a block is left; a record that does not fit enlarges the buffer."""
        left = self._filled - self._begin
        if self._is_at_end or left > self._wanted // 2:
            return
        self._buffer[:left] = self._buffer[self._begin : self._filled]
        self._place += self._begin
        self._begin, self._filled = 0, left
        if self._wanted > len(self._buffer):
            self._buffer.extend(bytes(self._wanted - len(self._buffer)))
        target = self._target()
        with memoryview(self._buffer) as view:
            while self._filled < target:
                count = self._part.stream.readinto(view[self._filled : target])
                if not count:
                    self._is_at_end = True
                    break
                self._filled += count
        if self._place == 0 and self._filled and self._buffer.startswith(codecs.BOM_UTF8):
            self._begin = len(codecs.BOM_UTF8)

    def _target(self) -> int:
        """How much to buffer: not much more than the range needs."""
        end = self._part.end
        if end is None:
            return self._wanted
        unread = max(0, end - self._place - self._filled)
        return min(self._wanted, self._filled + max(unread + _TAIL_BYTES, self._filled))

    def _parse(self) -> Batch | SideOutput | None:
        begin = self._begin
        columns, consumed, bad = self._read_records(BATCH_ROWS, is_last=self._is_at_end)
        if not consumed:
            left = self._filled - begin
            if self._is_at_end and left:
                raise InternalError(f"{self._part.path}: byte {self._place + begin} to the end cannot be parsed")
            if left < self._part.record_bytes_max or self._is_at_end:
                self._wanted = 2 * max(left, self._wanted // 2)
                return None
            columns, consumed, bad = self._give_up_record()
        self._wanted = min(self._wanted, BLOCK_BYTES)
        self._begin += consumed
        batch = Batch.of_columns(columns, self._row_type) if columns.num_rows else None
        side = self._deal_with(begin, bad) if bad else None
        after = self._place + self._begin
        if side is not None:
            self._held.append((batch, after))
            return side
        if batch is not None:
            self._position = after
        return batch

    def _read_records(self, max_rows: int, *, is_last: bool) -> tuple[pa.RecordBatch, int, list[BadRecord]]:
        end = self._part.end
        limit = self._filled if end is None else min(self._filled, end - self._place)
        return self._parser.parse(
            self._buffer, self._begin, self._filled, limit=limit, is_last=is_last, max_rows=max_rows
        )

    def _give_up_record(self) -> tuple[pa.RecordBatch, int, list[BadRecord]]:
        """Handles a record that does not end: if an open quote is the cause, only its first line is malformed."""
        columns, consumed, bad = self._read_records(1, is_last=True)
        if columns.num_rows or not bad or consumed >= self._filled - self._begin:
            place = self._place + self._begin
            raise DataFormatError(
                f"{self._part.path}: line {self._part.lines.line_of(place)} (byte {place}): "
                f"a record is longer than {self._part.record_bytes_max} bytes; does the file have this format?"
            )
        return columns, consumed, bad[:1]

    def _deal_with(self, begin: int, bad: Sequence[BadRecord]) -> SideOutput | None:
        if not self._malformed.needs_rows:
            self._malformed.skip(len(bad))
            return None
        rows = []
        # Once per malformed row, not per row.
        for start, end, column, reason in bad:
            place = self._place + begin + start
            if place < self._reported:
                continue
            rows.append(
                MalformedRow(
                    file=self._part.path,
                    line=self._part.lines.line_of(place),
                    byte_offset=place,
                    text=self._buffer[begin + start : begin + end].decode("utf-8", "replace"),
                    reason=self._explain(column, reason),
                )
            )
            if self._malformed.policy.on_error == "fail":
                break
        return self._malformed.take(rows) if rows else None


def _block_bytes(part: TextPart) -> int:
    if part.end is None:
        return BLOCK_BYTES
    return max(1, min(BLOCK_BYTES, part.end - part.start + _TAIL_BYTES))
