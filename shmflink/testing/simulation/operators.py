"""User code of the simulated jobs: it is small, checks exactly what it sees, and fails where the schedule says so.

Rows are (source, key, ordinal, timestamp): the ordinal counts the rows of one source and key from 1, so that a row that
is lost, repeated or overtaken is seen at once by the operator that counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import pyarrow as pa

from shmflink.connectors.base import (
    Committer,
    Poll,
    Sink,
    SinkWriter,
    Source,
    SourceReader,
    Split,
    SplitEnumerator,
)
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS, Barrier, ControlElement, Element, Watermark
from shmflink.core.keys.groups import key_groups
from shmflink.core.types.typeinfo import Types
from shmflink.datastream.process_functions import KeyedProcessFunction
from shmflink.operators.base import Operator, OperatorContext, SideOutput
from shmflink.operators.functions.process import KeyedProcessOperator
from shmflink.operators.slices import Pace
from shmflink.state.descriptors import MapStateDescriptor
from shmflink.state.snapshots import DELETED, KEY_GROUP, KeyedSnapshot, OperatorSnapshot
from shmflink.testing.simulation.world import CommittableId, current_world

__all__ = [
    "CountOperator",
    "CountProcess",
    "NumberOperator",
    "PassOperator",
    "RestingProcessOperator",
    "SimulatedGlobalSink",
    "SimulatedSink",
    "SimulatedSource",
    "WindowOperator",
]

Entry: TypeAlias = tuple[int, int, int]
"""(key group, key, source or window)."""
_SCHEMA: Final = pa.schema(
    [(KEY_GROUP, pa.int32()), ("key", pa.int64()), ("name", pa.int64()), ("count", pa.int64())],
    metadata={b"shmflink": json.dumps({"kind": "value", "type": "count", "entry": ["key", "name"]}).encode()},
)


class SimulatedSource(Source):
    """Rows of `sources` sources, `rows` each; source i is a split of its own, read in batches of up to 3 rows.

    `pauses`: after this many rows there is no row for a moment. Event time grows by one second for every row.
    """

    def __init__(self, first: int, sources: int, rows: int, keys: int, pauses: int = 0) -> None:
        self._first = first
        self._sources = sources
        self._rows = rows
        self._keys = keys
        self._pauses = pauses

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        sources = range(self._first, self._first + self._sources)
        return _Queue(state if state is not None else [Split(str(i), (i, 0)) for i in sources])

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(lambda split: _Rows(split, self._rows, self._keys, self._pauses))


class _Queue(SplitEnumerator):
    """Hands out splits in their order."""

    def __init__(self, splits: Sequence[Split]) -> None:
        self._waiting = list(splits)

    def next_split(self, subtask: int) -> Split | None:
        return self._waiting.pop(0) if self._waiting else None

    @property
    def is_exhausted(self) -> bool:
        return not self._waiting

    def add_splits_back(self, splits: Sequence[Split]) -> None:
        self._waiting[:0] = splits

    def snapshot(self) -> list[Split]:
        return list(self._waiting)


class _Rows(SplitCursor):
    """`payload` of the split is (source, rows read)."""

    def __init__(self, split: Split, rows: int, keys: int, pauses: int) -> None:
        self._source, self._next = split.payload
        self._rows = rows
        self._keys = keys
        self._pauses = pauses
        self._paused_at = -1

    def next_batch(self) -> Batch | Poll | None:
        if self._next >= self._rows:
            return None
        if self._pauses and self._next % self._pauses == 0 and self._paused_at != self._next:
            self._paused_at = self._next
            return Poll.AGAIN
        current_world().may_fail("read")
        stop = min(self._rows, self._next + 1 + (self._next + self._source) % 3)
        rows = [(self._source, n % self._keys, n // self._keys + 1, n * 1000) for n in range(self._next, stop)]
        self._next = stop
        return Batch.of_rows(rows, timestamps=pa.array([row[3] for row in rows], pa.int64()))

    def remaining(self) -> Split:
        return Split(str(self._source), (self._source, self._next))


class PassOperator(Operator):
    """Passes batches on; larger ones row by row."""

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        current_world().may_fail("map")
        if batch.num_rows < 3:
            yield batch
            return
        for row in batch.rows():
            yield Batch.of_rows([row], timestamps=pa.array([row[3]], pa.int64()))

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        current_world().may_fail("snapshot")
        return OperatorSnapshot()


class NumberOperator(PassOperator):
    """Emits (source, key, ordinal)."""

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        current_world().may_fail("map")
        yield Batch.of_rows([row[:3] for row in batch.rows()], timestamps=batch.timestamps)


class _Frozen(KeyedSnapshot):
    """Entries at a barrier; a count of None means that the entry was removed."""

    def __init__(
        self, entries: Sequence[tuple[Entry, int | None]], is_delta: bool, saved: Callable[[bool], None]
    ) -> None:
        self._entries = sorted(entries, key=lambda entry: entry[0])
        self._is_delta = is_delta
        self._saved = saved

    @property
    def name(self) -> str:
        return "counts"

    @property
    def is_delta(self) -> bool:
        return self._is_delta

    def batches(self) -> Iterator[pa.RecordBatch]:
        if not self._entries:
            return
        columns = [list(column) for column in zip(*(entry for entry, _ in self._entries), strict=True)]
        counts = [count for _, count in self._entries]
        arrays = [pa.array(column, _SCHEMA.field(i).type) for i, column in enumerate((*columns, counts))]
        batch = pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)
        yield batch.append_column(DELETED, pa.array([c is None for c in counts])) if self._is_delta else batch

    def saved(self, is_saved: bool) -> None:
        self._saved(is_saved)


@cache
def _group_of(key: int, max_parallelism: int) -> int:
    return int(key_groups(pa.array([key], pa.int64()), max_parallelism)[0])


class _Counts(Operator):
    """Counters by key and name, with incremental snapshots: changes since what is known to be saved."""

    def open(self, context: OperatorContext) -> None:
        current_world().may_fail("open")
        self._context = context
        self._counts: dict[Entry, int] = {}
        self._has_saved = False
        self._changed: set[Entry] = set()
        self._unsaved: list[set[Entry]] = []  # what the snapshots that are being written hold
        self._watermark_ms = MIN_TIMESTAMP_MS
        for batch in context.restored.read_keyed("counts"):
            for row in batch.to_pylist():
                entry = (row[KEY_GROUP], row["key"], row["name"])
                if row["count"] is None:
                    self._counts.pop(entry, None)
                else:
                    self._counts[entry] = row["count"]

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        current_world().may_fail("snapshot")
        if barrier.is_savepoint:
            return OperatorSnapshot((_Frozen(list(self._counts.items()), False, lambda _: None),))
        self._unsaved.append(self._changed)
        self._changed = set()
        if self._has_saved:
            entries = set().union(*self._unsaved)
            frozen = [(entry, self._counts.get(entry)) for entry in entries]
        else:
            frozen = list(self._counts.items())
        included = len(self._unsaved)
        return OperatorSnapshot((_Frozen(frozen, self._has_saved, self._saved_up_to(included)),))

    def _saved_up_to(self, included: int) -> Callable[[bool], None]:
        sets = self._unsaved[:included]

        def saved(is_saved: bool) -> None:
            if is_saved:
                self._has_saved = True
                self._unsaved = [one for one in self._unsaved if not any(one is other for other in sets)]

        return saved

    def _add(self, entry: Entry) -> int:
        count = self._counts[entry] = self._counts.get(entry, 0) + 1
        self._changed.add(entry)
        return count

    def _groups(self, batch: Batch) -> list[int]:
        assert batch.keys is not None, "a keyed operator without keys"
        groups = [_group_of(key, self._context.max_parallelism) for key in batch.keys.to_pylist()]
        for group in groups:
            if group not in self._context.key_groups:
                current_world().violated(f"key group {group} in subtask {self._context.subtask_index}")
        return groups

    def process_control(self, element: ControlElement) -> Iterator[Element | SideOutput]:
        if isinstance(element, Watermark):
            if element.timestamp_ms < self._watermark_ms:
                current_world().violated(f"a watermark went from {self._watermark_ms} to {element.timestamp_ms}")
            self._watermark_ms = element.timestamp_ms
            yield from self._on_watermark(element.timestamp_ms)
        yield element

    def _on_watermark(self, watermark_ms: int) -> Iterator[Batch]:
        return iter(())


class CountOperator(_Counts):
    """Counts the rows of each source and key; each row must be the next one. Emits (source, key, n)."""

    def __init__(self, is_ordered: bool = True) -> None:
        self._is_ordered = is_ordered

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        world = current_world()
        world.may_fail("count")
        out = []
        for group, (source, key, ordinal, _) in zip(self._groups(batch), batch.rows(), strict=True):
            count = self._add((group, key, source))
            if self._is_ordered and world.is_checked and count != ordinal:
                world.violated(f"row {ordinal} of source {source}, key {key} came as row {count}")
            out.append((source, key, count))
        yield Batch.of_rows(out, timestamps=batch.timestamps)


class WindowOperator(_Counts):
    """Rows per key and window of `size_ms`, when the watermark has passed its end. Emits (window, key, n)."""

    def __init__(self, size_ms: int) -> None:
        self._size_ms = size_ms

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        world = current_world()
        world.may_fail("count")
        for group, (source, key, _, timestamp_ms) in zip(self._groups(batch), batch.rows(), strict=True):
            window = timestamp_ms - timestamp_ms % self._size_ms
            if window + self._size_ms - 1 <= self._watermark_ms and world.is_checked and world.is_in_time:
                world.violated(f"a row of source {source} at {timestamp_ms} is late: {self._watermark_ms}")
            self._add((group, key, window))
        yield from ()

    def _on_watermark(self, watermark_ms: int) -> Iterator[Batch]:
        due = sorted(entry for entry in self._counts if entry[2] + self._size_ms - 1 <= watermark_ms)
        for entry in due:
            yield Batch.of_rows([(entry[2], entry[1], self._counts.pop(entry))])
            self._changed.add(entry)


class SimulatedSink(Sink):
    """Two-phase commit into the world."""

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        current_world().may_fail("open")
        return _Writer(context)

    def create_committer(self, context: OperatorContext) -> Committer:
        return _Committer()

    def remove_leftovers(self, context: OperatorContext, kept: Sequence[Any]) -> None:
        subtask, parallelism = context.subtask_index, context.parallelism
        current_world().remove_leftovers(context.operator_id, context.epoch, subtask, parallelism, kept)


class _Writer(SinkWriter):
    def __init__(self, context: OperatorContext) -> None:
        self._context = context
        self._rows: list[Any] = []
        self._number = 0

    def write(self, batch: Batch) -> None:
        current_world().may_fail("write")
        self._rows += batch.rows()

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[CommittableId]]:
        rows, self._rows = self._rows, []
        self._number += 1
        context = self._context
        place = context.operator_id, context.epoch, context.subtask_index
        committable = CommittableId(*place, self._number, checkpoint_id)

        def stage() -> Sequence[CommittableId]:
            if not rows:
                return ()
            current_world().may_fail("stage")
            current_world().stage(committable, rows)
            return (committable,)

        return stage

    @property
    def has_uncommitted(self) -> bool:
        return bool(self._rows)


class SimulatedGlobalSink(SimulatedSink):
    """What its subtasks have committed becomes visible by one act for each checkpoint."""

    def create_committer(self, context: OperatorContext) -> Committer:
        return _Precommitter()

    def create_global_committer(self, context: OperatorContext) -> Committer:
        current_world().may_fail("open")
        return _GlobalCommitter()


class _Committer(Committer):
    def commit(self, committables: Sequence[Any]) -> None:
        current_world().commit(committables)

    def abandon(self, committables: Sequence[Any]) -> None:
        current_world().abandon(committables)


class _Precommitter(_Committer):
    def commit(self, committables: Sequence[Any]) -> None:
        current_world().precommit(committables)


class _GlobalCommitter(_Committer):
    def commit(self, committables: Sequence[Any]) -> None:
        current_world().commit_globally(committables)


class RestingProcessOperator(KeyedProcessOperator):
    """Barriers may pass between any two of its timers."""

    def open(self, context: OperatorContext) -> None:
        super().open(context)
        self._timers.pace = Pace(1)


class CountProcess(KeyedProcessFunction):
    """As `WindowOperator` does, with the states and timers that users have; checks the order of rows, too."""

    def __init__(self, size_ms: int) -> None:
        self._size_ms = size_ms

    def open(self, runtime_context: Any) -> None:
        current_world().may_fail("open")
        self._seen = runtime_context.get_map_state(MapStateDescriptor("seen", Types.LONG(), Types.LONG()))
        self._windows = runtime_context.get_map_state(MapStateDescriptor("windows", Types.LONG(), Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        world = current_world()
        world.may_fail("process")
        source, key, ordinal, timestamp_ms = value
        before = self._seen.get(source) or 0
        if world.is_checked and ordinal != before + 1:
            world.violated(f"row {ordinal} of source {source}, key {key} came as row {before + 1}")
        self._seen.put(source, before + 1)
        window = timestamp_ms - timestamp_ms % self._size_ms
        self._windows.put(window, (self._windows.get(window) or 0) + 1)
        ctx.timer_service().register_event_time_timer(window + self._size_ms - 1)
        return iter(())

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        current_world().may_fail("timer")
        window = timestamp - self._size_ms + 1
        count = self._windows.get(window)
        self._windows.remove(window)
        yield window, ctx.get_current_key(), count
