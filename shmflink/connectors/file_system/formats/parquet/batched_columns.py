"""Columns that a reader returns batch by batch, cut into pieces of any number of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from shmflink import _core

__all__ = ["BatchedColumns"]


class BatchedColumns:
    """Opened at the first requested row. Skipped rows are decoded: readers cannot skip inside a row group."""

    def __init__(self, batches: Callable[[], Iterator[pa.RecordBatch]]) -> None:
        """`batches` is called to begin reading."""
        self._begin = batches
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._behind = 0
        self._held: pa.RecordBatch | None = None

    def skip(self, rows: int) -> None:
        self._behind += rows

    def take(self, rows: int, mask: pa.BooleanArray | None = None) -> pa.RecordBatch:
        """The next `rows` rows; with a mask, only those for which it is true (not null).

        Raises what the reader raises, and pa.ArrowInvalid if there are fewer rows.
        """
        while self._behind:
            self._behind -= self._next(self._behind).num_rows
        taken = [self._next(rows)]
        missing = rows - taken[0].num_rows
        while missing:
            taken.append(self._next(missing))
            missing -= taken[-1].num_rows
        whole = taken[0] if len(taken) == 1 else pa.Table.from_batches(taken).combine_chunks().to_batches()[0]
        return whole if mask is None else _core.keep_rows(whole, mask)

    def _next(self, rows_max: int) -> pa.RecordBatch:
        held = self._held
        if held is None:
            if self._batches is None:
                self._batches = self._begin()
            held = next(self._batches, None)
            if held is None:
                raise pa.ArrowInvalid("the column has fewer rows than the footer states")
        if held.num_rows <= rows_max:
            self._held = None
            return held
        self._held = held.slice(rows_max)
        return held.slice(0, rows_max)
