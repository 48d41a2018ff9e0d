"""Watermarks of readers with several splits, against a naive model: for any assignment of splits, no row
is late that was not late in the split itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from shmflink.common import Duration, WatermarkStrategy
from shmflink.connectors.base import Poll, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS, Barrier, Watermark
from shmflink.operators.base import OperatorContext
from shmflink.operators.time.processing_time import ProcessingTimeQueue
from shmflink.state.operator_state import redistributed
from shmflink.state.snapshots import RestoredState
from shmflink.taskmanager.source import SourceOperator
from shmflink.testing import ManualClock

BOUND_MS = 3


class Lists(Source):
    """Splits are lists of batches of timestamps, which are the rows."""

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        raise AssertionError("splits are dealt out by the test")

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(Cursor)


class Cursor(SplitCursor):
    def __init__(self, split: Split) -> None:
        self._id, self._left = split.split_id, list(split.payload)

    def next_batch(self) -> Batch | Poll | None:
        if not self._left:
            return None
        stamps = self._left.pop(0)
        return Batch.of_rows([(self._id, at) for at in stamps], timestamps=pa.array(stamps, pa.int64()))

    def remaining(self) -> Split:
        return Split(self._id, tuple(self._left))


class Subtask:
    """A source operator and what came out of it: rows, each with the watermark before it."""

    def __init__(self, restored: RestoredState, watermark_ms: int) -> None:
        self.rows: list[tuple[str, int, int]] = []
        self.watermark_ms = watermark_ms
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(BOUND_MS))
        self.operator = SourceOperator(Lists(), strategy)
        self.operator.connect(lambda: None)
        clock = ManualClock()
        context = OperatorContext(
            operator_name="lists",
            operator_id="0" * 32,
            task_name="lists",
            subtask_index=0,
            parallelism=1,
            max_parallelism=128,
            attempt=0,
            is_batch=False,
            configuration={"pipeline.auto-watermark-interval": "0"},
            mailbox=None,  # type: ignore[arg-type]  # nobody waits
            clock=clock,
            processing_time=ProcessingTimeQueue(clock).service(0),
            restored=restored,
        )
        self.operator.open(context)
        self.operator.restore_watermark(watermark_ms)

    def read(self, polls: int) -> None:
        for _ in range(polls):
            answer = self.operator.poll()
            if not isinstance(answer, Batch):
                return
            for element in self.operator.elements(answer):
                if isinstance(element, Batch):
                    self.rows += [(split, at, self.watermark_ms) for split, at in element.rows()]
                elif isinstance(element, Watermark):
                    assert element.timestamp_ms > self.watermark_ms
                    self.watermark_ms = element.timestamp_ms


def late_in_itself(batches: Sequence[Sequence[int]]) -> list[int]:
    """The naive model: one split, read alone."""
    late, watermark_ms = [], MIN_TIMESTAMP_MS
    for stamps in batches:
        late += [at for at in stamps if at <= watermark_ms]
        watermark_ms = max([watermark_ms, *(at - BOUND_MS - 1 for at in stamps)])
    return late


SPLITS = st.lists(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=3), max_size=5), min_size=1, max_size=6)
STAGES = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), max_size=3)


@settings(max_examples=400, deadline=None)
@given(SPLITS, STAGES)
def test_only_what_is_late_in_its_own_split_is_late(splits, stages):
    """[T6][C21] All splits are assigned at the start; then the job is stopped and goes on, up, down or as it was."""
    first = [Split(str(number), tuple(map(tuple, batches))) for number, batches in enumerate(splits)]
    subtasks = [Subtask(RestoredState(), MIN_TIMESTAMP_MS)]
    for split in first:
        subtasks[0].operator.assign(split, exhausted=False)
    rows: list[tuple[str, int, int]] = []
    for parallelism, polls in [*stages, (1, 1000)]:
        for subtask in subtasks:
            subtask.read(polls)
            rows += subtask.rows
        states = [dict(one.operator.snapshot_state(Barrier(1, 0)).operator_state) for one in subtasks]
        watermark_ms = min(one.watermark_ms for one in subtasks)
        subtasks = [
            Subtask(RestoredState(1, operator_state=state), watermark_ms)
            for state in redistributed(states, parallelism)
        ]
    expected = sorted((str(n), at) for n, batches in enumerate(splits) for stamps in batches for at in stamps)
    assert sorted((split, at) for split, at, _ in rows) == expected
    late = Counter((split, at) for split, at, watermark_ms in rows if at <= watermark_ms)
    assert late <= Counter((str(n), at) for n, batches in enumerate(splits) for at in late_in_itself(batches))


@settings(max_examples=200, deadline=None)
@given(SPLITS)
def test_event_time_goes_on_as_soon_as_nothing_waits(splits):
    """The last split alone says how far event time is; whatever was held back before."""
    subtask = Subtask(RestoredState(), MIN_TIMESTAMP_MS)
    for number, batches in enumerate(splits):
        subtask.operator.assign(Split(str(number), tuple(map(tuple, batches))), exhausted=False)
    subtask.read(1000)
    last = [at for stamps in splits[-1] for at in stamps]
    assert subtask.watermark_ms == (max(last) - BOUND_MS - 1 if last else MIN_TIMESTAMP_MS)
