"""What an operator hands over at a checkpoint barrier, and what it receives after a restore.

Freezing and writing are separate: `Operator.snapshot_state` freezes in the slot's thread, between two elements. Another
thread converts the result to Arrow and writes it, while the operator continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from shmflink.core.lazy_dataclass import dataclass
from shmflink.state.operator_state import OperatorStatePart, redistributed

__all__ = [
    "DELETED",
    "KEY_GROUP",
    "NOTHING_RESTORED",
    "KeyedSnapshot",
    "OperatorSnapshot",
    "RestoredState",
    "restored_from",
    "rows_of",
]

KEY_GROUP: Final = "key_group"
"""First column (int32) of every batch of keyed state; rows are in its order."""
DELETED: Final = "deleted"
"""Last column (bool) of batches of changes: True removes the entry."""


class KeyedSnapshot(Protocol):
    """One keyed state of one operator and subtask, frozen.

    Its schema's metadata (`b"shmflink"`) is JSON: `kind` (value, list, map, reducing, aggregating, timers, aggregate,
    windows, ...), `type` (text of the state's type, compared on restore) and `entry` (names of the columns that
    identify an entry: key columns and namespace).
    """

    @property
    def name(self) -> str:
        """Name of the state, unique within the operator."""
        ...

    @property
    def is_delta(self) -> bool:
        """True: only entries that changed since the previous snapshot, which was saved; False: all entries."""
        ...

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The entries, KEY_GROUP first and ascending over all batches. Called once, in another thread."""
        ...

    def saved(self, is_saved: bool) -> None:
        """Called once, in another thread: whether the entries are on disk. If not, the next snapshot includes them."""
        ...


@dataclass(frozen=True, slots=True)
class OperatorSnapshot:
    """All state of one operator and subtask at one barrier."""

    keyed: tuple[KeyedSnapshot, ...] = ()
    operator_state: Mapping[str, OperatorStatePart] = field(default_factory=dict)
    broadcast_state: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    pending: Callable[[], Mapping[str, OperatorStatePart]] | None = None
    """More operator state, for which another thread waits: what a sink's writer must finish first."""


def _nothing(_name: str) -> Iterator[pa.RecordBatch]:
    return iter(())


@dataclass(frozen=True, slots=True)
class RestoredState:
    """What an operator receives before `open`: its share of the state of all former subtasks.

    `read_keyed(name)` yields batches in the form of `KeyedSnapshot.batches`, with only the rows of the subtask's key
    groups: first all entries (of each former subtask), then changes in order (these have the column DELETED).
    """

    checkpoint_id: int | None = None
    keyed_names: tuple[str, ...] = ()
    read_keyed: Callable[[str], Iterator[pa.RecordBatch]] = _nothing
    operator_state: Mapping[str, OperatorStatePart] = field(default_factory=dict)
    broadcast_state: Mapping[str, Mapping[Any, Any]] = field(default_factory=dict)
    committed: frozenset[int] = frozenset()
    """Former subtasks of a sink for which everything in the checkpoint has since been committed."""

    @property
    def is_restored(self) -> bool:
        """False at a start without a checkpoint, and for an operator that is not in the checkpoint."""
        return self.checkpoint_id is not None


NOTHING_RESTORED: Final = RestoredState()


def restored_from(
    snapshots: Sequence[OperatorSnapshot], key_groups: range, subtask: int, parallelism: int
) -> RestoredState:
    """What a subtask receives from the frozen snapshots of all former subtasks, without files; for tests."""
    tables: dict[str, list[pa.RecordBatch]] = {}
    for snapshot in snapshots:
        for keyed in snapshot.keyed:
            tables.setdefault(keyed.name, []).extend(keyed.batches())
            keyed.saved(True)
    states = [{**s.operator_state, **(s.pending() if s.pending else {})} for s in snapshots]
    broadcast = next((s.broadcast_state for s in snapshots if s.broadcast_state), {})
    return RestoredState(
        checkpoint_id=1,
        keyed_names=tuple(tables),
        read_keyed=lambda name: (rows_of(batch, key_groups) for batch in tables.get(name, ())),
        operator_state=redistributed(states, parallelism)[subtask],
        broadcast_state=broadcast,
    )


def rows_of(batch: pa.RecordBatch, key_groups: range) -> pa.RecordBatch:
    """The rows of some key groups, without a copy; requires `key_groups.step == 1`."""
    groups = np.asarray(batch.column(0))
    first, last = np.searchsorted(groups, [key_groups.start, key_groups.stop])
    return batch.slice(int(first), int(last - first))
