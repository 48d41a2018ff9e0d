"""A source that hands out rows in batches of given sizes, and watermarks that its rows carry.

A row is (key, number, at, mark): its event time is `at`, and with a `mark` the watermark comes to it after the row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from shmflink.common import Types, WatermarkStrategy
from shmflink.connectors.base import Poll, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.split_queue import SplitQueue
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation
from shmflink.core.watermark_strategy import TimestampAssigner, WatermarkGenerator, WatermarkOutput
from shmflink.operators.base import OperatorContext

ScriptRow = tuple[str | None, int, int, int | None]

SCHEMA = pa.schema([("key", pa.utf8()), ("number", pa.int64()), ("at", pa.int64()), ("mark", pa.int64())])
TYPES: dict[str, TypeInformation | None] = {
    "pickled": None,
    "tuples": Types.TUPLE([Types.STRING(), Types.LONG(), Types.LONG(), Types.LONG()]),
    "columns": ColumnsTypeInfo(SCHEMA),
}


class ScriptedSource(Source):
    """`sizes` of the batches, in turn; `form` is a key of TYPES. One split, or `splits` of them, dealt row by row."""

    def __init__(self, rows: Sequence[ScriptRow], sizes: Sequence[int], form: str) -> None:
        self._rows = list(rows)
        self._sizes = list(sizes)
        self._form = form

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        return SplitQueue(state if state is not None else (Split("0", 0),))

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(lambda split: _Cursor(self._batches()))

    def _batches(self) -> Iterator[Batch]:
        at, turn = 0, 0
        while at < len(self._rows):
            rows = self._rows[at : at + self._sizes[turn % len(self._sizes)]]
            at, turn = at + len(rows), turn + 1
            if self._form == "columns":
                columns = [list(column) for column in zip(*rows, strict=True)]
                yield Batch.of_columns(pa.record_batch(columns, schema=SCHEMA), TYPES["columns"])
            else:
                yield Batch.of_rows(rows, TYPES[self._form])

    @property
    def produced_type(self) -> TypeInformation | None:
        return TYPES[self._form]

    @property
    def fixed_parallelism(self) -> int | None:
        return 1


class _Cursor(SplitCursor):
    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches

    def next_batch(self) -> Batch | Poll | None:
        return next(self._batches, None)

    def remaining(self) -> Split:
        raise AssertionError("scripts are not restored")


class MarksOfRows(WatermarkGenerator):
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        assert event_timestamp == event[2], (event, event_timestamp)
        if event[3] is not None:
            output.emit_watermark(event[3])

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Marks come with rows alone."""


class AtOfRows(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[2])


def strategy(form: str) -> WatermarkStrategy:
    marks = WatermarkStrategy.for_generator(MarksOfRows)
    return marks.with_timestamp_column("at") if form == "columns" else marks.with_timestamp_assigner(AtOfRows())
