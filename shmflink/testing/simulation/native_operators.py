"""Between the rows of simulated sources and native tables: columns, and results that tell which rows they hold.

Each row of a source and key has a bit of its own. A sum of bits therefore names the rows in it: one that is lost or
counted twice changes the sum, whatever the others are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier
from shmflink.operators.base import Operator
from shmflink.state.snapshots import OperatorSnapshot
from shmflink.testing.simulation.world import current_world

__all__ = ["COLUMNS", "ToColumns", "ToResults", "bit_of"]

COLUMNS: Final = pa.schema([("source", pa.int64()), ("key", pa.int64()), ("ordinal", pa.int64()), ("bit", pa.int64())])
_ORDINALS_MAX: Final = 8


def bit_of(source: int, ordinal: int) -> int:
    """The bit of the row with this ordinal, from 1, of a source and key."""
    return 1 << (_ORDINALS_MAX * source + ordinal - 1)


class _Stateless(Operator):
    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        current_world().may_fail("snapshot")
        return OperatorSnapshot()


class ToColumns(_Stateless):
    """Rows of a `SimulatedSource` -> `COLUMNS`, without those that `keeps(key, ordinal)` refuses."""

    def __init__(self, keeps: Callable[[int, int], bool]) -> None:
        self._keeps = keeps

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        current_world().may_fail("map")
        rows = [row for row in batch.rows() if self._keeps(row[1], row[2])]
        columns = [[row[i] for row in rows] for i in range(3)]
        columns.append([bit_of(row[0], row[2]) for row in rows])
        arrays = [pa.array(column, pa.int64()) for column in columns]
        if rows:
            times = pa.array([row[3] for row in rows], pa.int64())
            yield Batch.of_columns(pa.RecordBatch.from_arrays(arrays, schema=COLUMNS), timestamps=times)


class ToResults(_Stateless):
    """Results with the columns `name`, `key`, `n`, `bits`, `least`, `most` -> rows (name, key, bits), checked."""

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        current_world().may_fail("process")
        out: list[Any] = []
        for row in batch.columns().to_pylist():
            _check(row)
            name = row["name"]
            out.append((name if isinstance(name, int) else _millis(name), row["key"], row["bits"]))
        yield Batch.of_rows(out, timestamps=batch.timestamps)


def _check(row: dict[str, Any]) -> None:
    """All aggregates of a result are over the same rows."""
    world, bits = current_world(), row["bits"]
    ordinals = [n % _ORDINALS_MAX + 1 for n in range(bits.bit_length()) if bits >> n & 1]
    if world.is_checked and (row["n"], row["least"], row["most"]) != (len(ordinals), min(ordinals), max(ordinals)):
        world.violated(f"aggregates of different rows: {row}")


def _millis(moment: Any) -> int:
    return int(pa.scalar(moment, pa.timestamp("ms")).cast(pa.int64()).as_py())
