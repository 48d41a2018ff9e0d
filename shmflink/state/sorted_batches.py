"""Sorts record batches of keyed state by key group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

__all__ = ["PIECE_ROWS_MAX", "in_order_of_groups"]

PIECE_ROWS_MAX: Final = 1 << 16
"""Rows of a batch of state."""


def in_order_of_groups(batches: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of all batches ordered by their first column, the key group; rows of one group keep their order.

    Sorts each batch on its own. Then cuts ranges of groups that hold about PIECE_ROWS_MAX rows, and assembles each
    range from slices of all batches. So no array is ever as long as the whole, whose offsets might overflow.
    """
    batches = [_by_group(batch) for batch in batches]
    if len(batches) == 1:
        yield from _pieces(batches[0])
        return
    groups = [np.asarray(batch.column(0)) for batch in batches]
    size = 1 + max(int(numbers[-1]) for numbers in groups)
    counts = np.sum([np.bincount(numbers, minlength=size) for numbers in groups], axis=0)
    for first, end in _ranges(counts):
        parts = []
        for batch, numbers in zip(batches, groups, strict=True):
            begins, ends = np.searchsorted(numbers, [first, end]).tolist()
            if ends > begins:
                parts.append(batch.slice(begins, ends - begins))
        if end - first > 1:
            yield _by_group(pa.concat_batches(parts))
        else:
            yield from _bundled(parts)


def _by_group(batch: pa.RecordBatch) -> pa.RecordBatch:
    groups = np.asarray(batch.column(0))
    if np.all(groups[:-1] <= groups[1:]):
        return batch
    # 16 bits: numpy then uses a radix sort. There are at most 2**15 groups.
    return batch.take(pa.array(np.argsort(groups.astype(np.uint16), kind="stable")))


def _ranges(counts: np.ndarray[Any, Any]) -> Iterator[tuple[int, int]]:
    """Runs of groups (first, end) with at most PIECE_ROWS_MAX rows together, or of one group; none without rows."""
    first, rows = 0, 0
    for group, count in enumerate(counts.tolist()):
        if rows and rows + count > PIECE_ROWS_MAX:
            yield first, group
            first, rows = group, 0
        if not rows:
            first = group
        rows += count
    if rows:
        yield first, len(counts)


def _bundled(parts: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Slices of one group, as few batches of at most PIECE_ROWS_MAX rows."""
    bundle: list[pa.RecordBatch] = []
    rows = 0
    for part in parts:
        if bundle and rows + part.num_rows > PIECE_ROWS_MAX:
            yield pa.concat_batches(bundle)
            bundle, rows = [], 0
        bundle.append(part)
        rows += part.num_rows
    if bundle:
        yield pa.concat_batches(bundle)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for offset in range(0, batch.num_rows, PIECE_ROWS_MAX):
        yield batch.slice(offset, PIECE_ROWS_MAX)
