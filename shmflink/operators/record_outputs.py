"""What a process function emits for each record: rows of the main output, rows of side outputs, all with timestamps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS
from shmflink.core.output_tag import OutputTag
from shmflink.core.typeinfo import TypeInformation
from shmflink.operators.base import SideOutput
from shmflink.operators.declared_type import conform_rows

__all__ = ["OUTPUT_ROWS_MAX", "RecordOutputs"]

OUTPUT_ROWS_MAX: Final = 4096
"""Rows that are gathered before a batch leaves: a function that explodes is suspended between two of them."""


class RecordOutputs:
    """Gathers rows and their timestamps; `take` makes batches of them. Hot loops append to `rows` and `stamps`."""

    def __init__(self, output_type: TypeInformation | None, operator: str) -> None:
        self.rows: list[Any] = []
        self.stamps: list[int] = []
        self._output_type = output_type
        self._operator = operator
        self._sides: dict[str, tuple[OutputTag, list[Any], list[int]]] = {}

    def gather(self, outputs: Iterable[Any] | None, timestamp_ms: int) -> Iterator[Batch | SideOutput]:
        """Takes what a function returned or yields; batches leave where they are full.

        `(tag, value)` with an OutputTag goes to a side output, as in PyFlink.
        """
        for output in outputs or ():  # per row: the user's own generator
            if type(output) is tuple and output and type(output[0]) is OutputTag:
                self.put_aside(output[0], output[1], timestamp_ms)
                continue
            self.rows.append(output)
            self.stamps.append(timestamp_ms)
            if len(self.rows) >= OUTPUT_ROWS_MAX:
                yield from self.take()

    def put_aside(self, tag: OutputTag, value: Any, timestamp_ms: int) -> None:
        """A row of a side output."""
        if tag.tag_id not in self._sides:
            self._sides[tag.tag_id] = (tag, [], [])
        _, rows, stamps = self._sides[tag.tag_id]
        rows.append(value)
        stamps.append(timestamp_ms)

    def take(self) -> Iterator[Batch | SideOutput]:
        """All that was gathered since the last call; the lists stay the same objects."""
        rows, stamps = self.rows.copy(), self.stamps.copy()
        self.rows.clear()
        self.stamps.clear()
        sides, self._sides = self._sides, {}
        for tag, side_rows, side_stamps in sides.values():
            yield SideOutput(tag.tag_id, self._batch(side_rows, side_stamps, tag.declared_type))
        if rows:
            yield self._batch(rows, stamps, self._output_type)

    def _batch(self, rows: list[Any], stamps: list[int], row_type: TypeInformation | None) -> Batch:
        if row_type is not None:
            rows = conform_rows(rows, row_type, self._operator)
        # Rows of one call have timestamps or have none, but for those of streams that were united.
        has_stamps = max(stamps) != MIN_TIMESTAMP_MS
        return Batch.of_rows(rows, row_type, timestamps=pa.array(stamps, pa.int64()) if has_stamps else None)
