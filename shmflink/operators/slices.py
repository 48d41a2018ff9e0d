"""Splits large batches for operators that call a function per record, into pieces so small that barriers need not wait
long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shmflink.core.batch import Batch

__all__ = ["PIECE_NS", "SLICE_ROWS_MAX", "Pace", "slices_of"]

PIECE_NS: Final = 50_000_000
"""The longest that one piece should take: barriers, watermarks, results and cancellation wait for it."""

_GROWTH: Final = 8  # largest ratio of a piece's rows to those of the previous one, whose cost is known
_SLOW_NS: Final = 100_000  # per row; above this, the content of a channel takes seconds
_SAVES: Final = 1.5  # larger pieces pay if twice the rows take less than this many times the time
_TRIES_EVERY: Final = 32  # pieces between two attempts at larger ones

SLICE_ROWS_MAX: Final = 1024
"""Rows of one piece: their Python objects are created, used and freed while they are in the cache, which saves a third
of the time per record compared with pieces of 8192 (see the per-record cases of `perf`)."""


def slices_of(batch: Batch) -> Iterator[Batch]:
    """The batch in pieces of at most SLICE_ROWS_MAX rows, in order; the batch itself if it is small enough."""
    if batch.num_rows <= SLICE_ROWS_MAX:
        yield batch
        return
    for offset in range(0, batch.num_rows, SLICE_ROWS_MAX):
        yield batch.slice(offset, min(SLICE_ROWS_MAX, batch.num_rows - offset))


class Pace:
    """How many rows to take at once, based on the cost of the previous rows. Pure: it is told the time and reads no
    clock.

    There are two kinds of cost. A function called per record costs in proportion to the rows: pieces are sized to take
    PIECE_NS. Code called once per piece (a sink that sends what it receives) may cost as much for few rows as for many:
    its pieces are made smaller only as long as that makes them faster.
    """

    def __init__(self, rows_max: int) -> None:
        self._rows_max = rows_max
        self._before: tuple[int, int] | None = None  # rows and cost of the piece before one with twice the rows
        self._pieces_until_try = 0
        self._last_ns = 0
        self.rows = 1
        """Rows of the next piece."""
        self.is_slow = False
        """Whether the rows that wait in a channel would take long."""

    def observe(self, rows: int, records_ns: int, calls_ns: int = 0) -> None:
        """A piece with this many rows is done: the cost of its functions, and the cost of what was called once
        for it.
        """
        total_ns = records_ns + calls_ns
        self.is_slow = total_ns >= rows * _SLOW_NS
        before, self._before = self._before, None
        last_ns, self._last_ns = self._last_ns, total_ns
        if records_ns > PIECE_NS:
            self.rows = max(1, rows * PIECE_NS // records_ns)
        elif total_ns * 2 < PIECE_NS:
            if rows >= self.rows:
                self.rows = min(self._rows_max, rows * _GROWTH, max(1, rows * PIECE_NS // max(total_ns, 1)))
        elif calls_ns > records_ns:
            self._try_more(rows, total_ns, last_ns, before)

    def _try_more(self, rows: int, total_ns: int, last_ns: int, before: tuple[int, int] | None) -> None:
        """Chooses between few calls of user code with many rows each and many calls with few, by the measured time."""
        if before is not None and total_ns > before[1] * _SAVES:
            self.rows, self._pieces_until_try = before[0], _TRIES_EVERY
        elif before is None and rows > 1 and total_ns > 4 * max(last_ns, PIECE_NS):
            self.rows, self._pieces_until_try = max(1, rows * PIECE_NS // total_ns), 0  # it has become slow
        elif self._pieces_until_try and before is None:
            self._pieces_until_try -= 1
        elif rows >= self.rows and rows < self._rows_max:
            self._before = (rows, total_ns)
            self.rows = min(self._rows_max, rows * 2)
