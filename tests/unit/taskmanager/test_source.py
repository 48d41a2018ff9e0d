"""The head of a source task: splits, requests, watermarks and their state in a checkpoint."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Duration, WatermarkStrategy
from shmflink.connectors.arrow_tables import ArrowSource
from shmflink.connectors.base import Poll, Split
from shmflink.connectors.number_sequence import BATCH_ROWS, NumberSequenceSource
from shmflink.connectors.split_queue import SplitQueue
from shmflink.core.batch import Batch
from shmflink.core.elements import Barrier, Watermark, WatermarkStatus
from shmflink.core.watermark_strategy import TimestampAssigner
from shmflink.errors import StateMismatchError
from shmflink.operators.base import OperatorContext
from shmflink.operators.time.processing_time import ProcessingTimeQueue
from shmflink.operators.time.watermark_emitter import TimestampAssignment
from shmflink.state.operator_state import OperatorStatePart, Redistribution, redistributed
from shmflink.state.snapshots import RestoredState
from shmflink.taskmanager.source import SPLITS_STATE, SourceOperator
from shmflink.testing import ManualClock

END = 5 * BATCH_ROWS - 1
SPLIT_DISTRIBUTE = Redistribution.SPLIT_DISTRIBUTE


class Itself(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value)


class Job:
    """A sequence read by source operators, whose enumerator answers at once unless `is_slow`."""

    def __init__(self, parallelism: int = 1, state: Any = None) -> None:
        self.source = NumberSequenceSource(0, END)
        self.enumerator = self.source.create_enumerator(parallelism, state)
        self.parallelism = parallelism
        self.requests = 0
        self.is_slow = False
        self.idle_ms = 0
        self.clock = ManualClock()
        self.timers = ProcessingTimeQueue(self.clock)

    def operator(
        self, subtask: int = 0, restored: RestoredState | None = None, watermark_ms: int | None = None
    ) -> SourceOperator:
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(0))
        if self.idle_ms:
            strategy = strategy.with_idleness(Duration.of_millis(self.idle_ms))
        made = SourceOperator(self.source, strategy.with_timestamp_assigner(Itself()))
        clock = self.clock
        context = OperatorContext(
            operator_name="numbers",
            operator_id="0" * 32,
            task_name="numbers",
            subtask_index=subtask,
            parallelism=self.parallelism,
            max_parallelism=128,
            attempt=0,
            is_batch=False,
            configuration={"pipeline.auto-watermark-interval": "100 ms" if self.idle_ms else "0"},
            mailbox=None,  # type: ignore[arg-type]  # nobody waits
            clock=clock,
            processing_time=self.timers.service(0),
        )
        if restored is not None:
            context.restored = restored
        if watermark_ms is not None:
            made.restore_watermark(watermark_ms)
        made.open(context)

        def request() -> None:
            self.requests += 1
            if not self.is_slow:
                split = self.enumerator.next_split(subtask)
                made.assign(split, exhausted=split is None)

        made.connect(request)
        return made


def read(operator: SourceOperator, batches: int | None = None) -> list[int]:
    rows: list[int] = []
    while batches is None or batches:
        if (answer := operator.poll()) is Poll.END:
            break
        if isinstance(answer, Batch):
            rows += [row for one in operator.elements(answer) if isinstance(one, Batch) for row in one.rows()]
            batches = None if batches is None else batches - 1
    return rows


def read_piece(operator: SourceOperator, count: int) -> list[int]:
    while not isinstance(answer := operator.poll(count), Batch):
        if answer is Poll.END:
            return []
    return [row for one in operator.elements(answer) if isinstance(one, Batch) for row in one.rows()]


def restored_of(operators: list[SourceOperator], parallelism: int) -> list[RestoredState]:
    states = [dict(operator.snapshot_state(Barrier(1, 0)).operator_state) for operator in operators]
    return [RestoredState(1, operator_state=state) for state in redistributed(states, parallelism)]


def test_a_restored_operator_goes_on_behind_the_last_batch():
    job = Job()
    before = job.operator()
    rows = read(before, 2)
    (state,) = restored_of([before], 1)
    lost = read(before, 1)  # after the barrier: read again
    again = Job(state=job.enumerator.snapshot())
    assert lost == list(range(2 * BATCH_ROWS, 3 * BATCH_ROWS))
    assert rows + read(again.operator(0, state)) == list(range(END + 1))


def test_splits_are_dealt_out_anew_and_each_record_comes_once():
    job = Job(3)
    readers = [job.operator(subtask) for subtask in range(3)]
    rows = [row for reader in readers for row in read(reader, 1)]
    again = Job(2, job.enumerator.snapshot())
    for subtask, state in enumerate(restored_of(readers, 2)):
        rows += read(again.operator(subtask, state))
    assert sorted(rows) == list(range(END + 1))


def test_restored_splits_come_before_any_request_and_a_request_under_way_is_made_anew():
    job = Job()
    job.is_slow = True
    operator = job.operator()
    assert operator.poll() is Poll.WAIT
    assert not operator.has_input
    (nothing,) = restored_of([operator], 1)
    assert nothing.operator_state[SPLITS_STATE].elements == []
    again = Job(state=job.enumerator.snapshot())
    restored = again.operator(0, nothing)
    assert restored.has_input
    read(restored, 1)
    assert again.requests == 1
    (one,) = restored_of([restored], 1)
    third = Job(state=again.enumerator.snapshot())
    assert isinstance(third.operator(0, one).poll(), Batch)
    assert third.requests == 0


def test_while_it_is_held_there_is_no_input():
    operator = Job().operator()
    read(operator, 1)
    operator.hold(True)
    assert not operator.has_input
    operator.hold(False)
    assert operator.has_input


def read_from_snapshot(job, operator):
    """What a job reads that goes on from here."""
    (state,) = restored_of([operator], 1)
    return read(Job(state=job.enumerator.snapshot()).operator(0, state))


@pytest.mark.parametrize("drained", [True, False])
def test_the_input_ends_where_it_is_told_to_and_the_rest_stays_in_the_snapshot(drained):
    """[T5] Stopping ends the input although splits remain."""
    job = Job()
    operator = job.operator()
    rows = read(operator, 2)
    operator.hold(True)
    operator.end(drained=drained)
    assert operator.has_input
    assert operator.poll() is Poll.END
    assert rows + read_from_snapshot(job, operator) == list(range(END + 1))


def test_a_split_that_comes_after_the_end_is_in_the_snapshot():
    """The enumerator has given it away: nobody else would read it when the job goes on from the savepoint."""
    job = Job()
    job.is_slow = True
    operator = job.operator()
    assert operator.poll() is Poll.WAIT
    operator.end(drained=True)
    operator.assign(job.enumerator.next_split(0), exhausted=False)
    assert operator.poll() is Poll.END
    assert read_from_snapshot(job, operator) == list(range(END + 1))


def test_a_waiting_reader_ends_when_it_is_told_to():
    job = Job()
    job.is_slow = True
    operator = job.operator()
    assert operator.poll() is Poll.WAIT
    operator.end(drained=True)
    assert operator.has_input
    assert operator.poll() is Poll.END


def test_a_finished_reader_has_no_splits():
    """[C15] What a subtask that has ended leaves in a checkpoint: nothing to read again."""
    operator = Job().operator()
    assert read(operator) == list(range(END + 1))
    (state,) = restored_of([operator], 1)
    assert state.operator_state[SPLITS_STATE].elements == []
    assert read(Job(state=()).operator(0, state)) == []


@pytest.mark.parametrize("is_early", [True, False])
def test_the_watermark_goes_on_from_the_checkpoint_and_never_below(is_early):
    """[T8] A split that begins anew does not take event time back."""
    job = Job()
    before = job.operator()
    read(before, 1)
    (state,) = restored_of([before], 1)
    again = Job(state=job.enumerator.snapshot())
    far = 3 * BATCH_ROWS + 5
    restored = again.operator(0, state, far if is_early else None)
    if not is_early:
        restored.restore_watermark(far)
    marks = []
    while isinstance(answer := restored.poll(), Batch):
        marks += [one.timestamp_ms for one in restored.elements(answer) if isinstance(one, Watermark)]
    assert marks == [4 * BATCH_ROWS - 2, END - 1]


def test_a_reader_for_which_there_is_no_split_ends_at_once():
    """[T4] More subtasks than splits: a bounded source holds nobody's event time back."""
    job = Job(1)
    job.parallelism = 3
    first, *others = [job.operator(subtask) for subtask in range(3)]
    read(first, 1)
    for other in others:
        assert read(other) == []


def test_a_reader_that_never_had_a_split_turns_idle():
    """[T3, T4] A silent subtask does not hold event time back for longer than the timeout."""
    job = Job()
    job.is_slow = True
    job.idle_ms = 500
    operator = job.operator()
    assert operator.poll() is Poll.WAIT
    statuses = []
    for _ in range(20):
        job.clock.advance_ms(100)
        while job.timers.is_due:
            statuses += job.timers.take()[1]
    assert statuses == [WatermarkStatus(idle=True)]


def test_a_waiting_split_does_not_let_the_reader_turn_idle():
    """[T3, T6] The other split waits because nobody has read it yet, not because nothing comes."""
    job = Job(2)
    job.idle_ms = 500
    job.is_slow = True
    operator = job.operator()
    for _ in range(2):
        operator.assign(job.enumerator.next_split(0), exhausted=False)
    read(operator, 1)
    statuses = []
    for _ in range(20):
        job.clock.advance_ms(100)
        while job.timers.is_due:
            statuses += job.timers.take()[1]
    assert statuses == []


def test_splits_of_a_checkpoint_that_does_not_tell_event_time_hold_it_back():
    """A checkpoint of an earlier version: the splits alone."""
    job = Job()
    splits = [Split("0", (10, 20)), Split("1", (5, 8))]
    restored = RestoredState(1, operator_state={SPLITS_STATE: OperatorStatePart(SPLIT_DISTRIBUTE, splits, "splits")})
    operator = job.operator(0, restored)
    job.enumerator = SplitQueue(())
    marks = []
    while isinstance(answer := operator.poll(), Batch):
        marks += [one.timestamp_ms for one in operator.elements(answer) if isinstance(one, Watermark)]
    assert marks == [6]


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_rows_that_were_read_and_not_handed_on_are_in_the_snapshot(parallelism):
    """[C21] A barrier that comes within a batch: the reader is beyond it. However the splits are dealt out."""
    job = Job(3)
    readers = [job.operator(subtask) for subtask in range(3)]
    rows = []
    for reader in readers:
        rows += read_piece(reader, 10)
    assert len(rows) == 30
    states = restored_of(readers, parallelism)
    again = Job(parallelism, job.enumerator.snapshot())
    going_on = [again.operator(subtask, state) for subtask, state in enumerate(states)]
    for reader in going_on:
        rows += read_piece(reader, 7)
    last = Job(1, again.enumerator.snapshot())
    (state,) = restored_of(going_on, 1)
    rows += read(last.operator(0, state))
    assert sorted(rows) == list(range(END + 1))


def test_rows_without_a_column_that_is_read_now_are_refused():
    source = ArrowSource(pa.table({"a": [1, 2]}))
    before = Job()
    before.source = source
    before.enumerator = source.create_enumerator(1)
    operator = before.operator()
    operator._assignment = TimestampAssignment(None)
    assert operator.poll(1) is Poll.WAIT
    assert isinstance(operator.poll(1), Batch)
    (state,) = restored_of([operator], 1)
    after = Job()
    after.source = ArrowSource(pa.table({"b": [1, 2]}))
    with pytest.raises(StateMismatchError, match="without the column `b`, which the job reads now"):
        after.operator(0, state)


def test_a_split_of_another_kind_of_source_is_refused_by_name():
    """Of a checkpoint whose release did not say which kind wrote it."""
    part = OperatorStatePart(SPLIT_DISTRIBUTE, [Split("0", {"file": 1})], "split")
    restored = RestoredState(checkpoint_id=1, operator_state={SPLITS_STATE: part})
    with pytest.raises(
        StateMismatchError, match=r"'numbers', a NumberSequenceSource, cannot read the split '0'.* a dict"
    ):
        Job().operator(restored=restored)
