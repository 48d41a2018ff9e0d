"""Output of a process function for each record: rows of the main output and of side outputs, all with timestamps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import pyarrow as pa

from shmflink import _core
from shmflink.config.options import OBJECT_REUSE
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS
from shmflink.core.isolation import ISOLATION
from shmflink.core.output_tag import OutputTag
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.operators.base import OperatorContext, SideOutput
from shmflink.operators.columns.declared_type import conform_rows
from shmflink.operators.functions.moments import Moments

__all__ = ["OUTPUT_ROWS_MAX", "RecordOutputs", "isolation_of", "results_of", "reuses_objects"]

OUTPUT_ROWS_MAX: Final = 4096
"""Rows gathered into one batch: a function with many results is suspended between two batches."""


def reuses_objects(configuration: Mapping[str, str]) -> bool:
    """Whether the job declares that no function modifies an object that it has received or emitted."""
    return OBJECT_REUSE.read(configuration)


def isolation_of(context: OperatorContext) -> _core.Isolation | None:
    """Copies the rows of an operator that others can still change; None if the job reuses objects."""
    return None if reuses_objects(context.configuration) else ISOLATION


def results_of(
    call: Callable[[Any], Any], rows: list[Any], iterator: Iterator[Any], isolation: _core.Isolation | None, method: str
) -> list[Any]:
    """The results of `call` for each row of `iterator`, which iterates over `rows`; stops at a row that fails.

    Per row: the user's own function. Each result is taken by value before the next call can change it.
    """
    if isolation is None:
        return [call(row) for row in iterator]
    results = isolation.owned_results(map(call, iterator), rows)
    if len(results) < len(rows):
        raise RuntimeError(f"{method}() raised StopIteration")  # which ended the iterator
    return results


class RecordOutputs:
    """Gathers rows and their timestamps by value; `take` turns them into batches.

    Hot loops call `extend(emitted, timestamp)` as `RecordBuffer` describes it.
    """

    def __init__(self, output_type: TypeInformation | None, context: OperatorContext) -> None:
        self._output_type = output_type
        self._operator = context.operator_name
        self._sides: dict[str, tuple[OutputTag, list[Any], list[int]]] = {}
        self._buffer = _core.RecordBuffer(OUTPUT_ROWS_MAX, isolation_of(context), (OutputTag, self.put_aside))
        self.extend = self._buffer.extend
        self.moments = Moments(self.extend, context.clock)

    @property
    def is_full(self) -> bool:
        """Whether a batch should be emitted before more rows are gathered."""
        return len(self._buffer) >= OUTPUT_ROWS_MAX

    def gather(self, emitted: Iterable[Any] | None, timestamp_ms: int) -> Iterator[Batch | SideOutput]:
        """Takes what a function returned or yields; emits batches when they are full.

        `(tag, value)` with an OutputTag goes to a side output, as in PyFlink.
        """
        rest = self.extend(emitted, timestamp_ms)
        while rest is not None:
            yield from self.take()
            rest = self.extend(rest, timestamp_ms)

    def put_aside(self, tag: OutputTag, value: Any, timestamp_ms: int) -> None:
        """A row of a side output, held by nobody else."""
        if tag.tag_id not in self._sides:
            self._sides[tag.tag_id] = (tag, [], [])
        _, rows, stamps = self._sides[tag.tag_id]
        rows.append(value)
        stamps.append(timestamp_ms)

    def take(self) -> Iterator[Batch | SideOutput]:
        """Everything gathered since the last call."""
        if self._sides:
            yield from self._take_sides()
        if len(self._buffer):
            # Rows of one call all have timestamps, or none has, except in streams that were united.
            rows, stamps = self._buffer.take(MIN_TIMESTAMP_MS)
            yield self._batch(rows, stamps, self._output_type)

    def _take_sides(self) -> Iterator[SideOutput]:
        sides, self._sides = self._sides, {}
        for tag, rows, stamps in sides.values():
            has_stamps = max(stamps) != MIN_TIMESTAMP_MS
            timestamps = pa.array(stamps, pa.int64()) if has_stamps else None
            yield SideOutput(tag.tag_id, self._batch(rows, timestamps, tag.declared_type))

    def _batch(self, rows: list[Any], stamps: pa.Int64Array | None, row_type: TypeInformation | None) -> Batch:
        if row_type is not None:
            rows = conform_rows(rows, row_type, self._operator)
        return Batch.of_rows(rows, row_type, timestamps=stamps)
