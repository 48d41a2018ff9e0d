"""A source whose reader reads its splits concurrently: event time, alignment and snapshots of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Duration, WatermarkStrategy
from shmflink.connectors.base import Poll, Source, SourceReader, Split, SplitBatch, SplitEnd, SplitEnumerator
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS, Barrier, Watermark, WatermarkStatus
from shmflink.errors import UsageError
from shmflink.operators.base import OperatorContext
from shmflink.operators.time.processing_time import ProcessingTimeQueue
from shmflink.state.operator_state import redistributed
from shmflink.state.snapshots import RestoredState
from shmflink.taskmanager.source import SourceOperator
from shmflink.testing import ManualClock


class Partitions(Source):
    """A split is a list of batches of timestamps, which are the rows; `readers` are the test's to look at."""

    def __init__(self, reader: type[SourceReader]) -> None:
        self._reader = reader
        self.readers: list[Any] = []

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        raise AssertionError("splits are dealt out by the test")

    def create_reader(self, context: OperatorContext) -> SourceReader:
        self.readers.append(self._reader())
        return self.readers[-1]


class Interleaving(SourceReader):
    """A batch of each partition by turns, as far as it is not paused."""

    reads_concurrently = True

    def __init__(self) -> None:
        self.left: dict[str, list[Any]] = {}
        self.paused: frozenset[str] = frozenset()
        self._turns: list[str] = []

    def add_split(self, split: Split) -> None:
        self.left[split.split_id] = list(split.payload)
        self._turns.append(split.split_id)

    def no_more_splits(self) -> None:
        """It goes on with those that it has."""

    def poll(self) -> SplitBatch | SplitEnd | Poll:
        turn = next((split for split in self._turns if split not in self.paused), None)
        if turn is None:
            return Poll.WAIT if self._turns else Poll.NEED_SPLIT
        self._turns.remove(turn)
        if not self.left[turn]:
            del self.left[turn]
            return SplitEnd(turn)
        self._turns.append(turn)
        stamps = self.left[turn].pop(0)
        return SplitBatch(turn, Batch.of_rows([(turn, at) for at in stamps], timestamps=pa.array(stamps, pa.int64())))

    def snapshot(self) -> Sequence[Split]:
        return [Split(name, tuple(batches)) for name, batches in self.left.items()]


class Pausing(Interleaving):
    def pause_splits(self, paused: frozenset[str]) -> None:
        self.paused = paused


class Subtask:
    """A source operator and what came out of it."""

    def __init__(
        self, splits: dict[str, Sequence[Sequence[int]]], reader: type[SourceReader] = Pausing, restored: Any = None
    ) -> None:
        self.source = Partitions(reader)
        strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(0))
        self.operator = SourceOperator(self.source, strategy)
        self.operator.connect(lambda: None)
        clock = ManualClock()
        self.operator.open(
            OperatorContext(
                operator_name="partitions",
                operator_id="0" * 32,
                task_name="partitions",
                subtask_index=0,
                parallelism=1,
                max_parallelism=128,
                attempt=0,
                is_batch=False,
                configuration={"pipeline.auto-watermark-interval": "0"},
                mailbox=None,  # type: ignore[arg-type]  # nobody waits
                clock=clock,
                processing_time=ProcessingTimeQueue(clock).service(0),
                restored=restored or RestoredState(),
            )
        )
        for name, batches in splits.items():
            self.operator.assign(Split(name, tuple(map(tuple, batches))), exhausted=False)

    @property
    def reader(self) -> Any:
        return self.source.readers[0]

    def read(self, polls: int = 100, rows_max: int = 2**63) -> list[Any]:
        """Rows, watermarks and statuses, until nothing is there now."""
        seen: list[Any] = []
        for _ in range(polls):
            if not self.operator.has_input:
                break
            answer = self.operator.poll(rows_max)
            if isinstance(answer, Batch):
                for element in self.operator.elements(answer):
                    seen += element.rows() if isinstance(element, Batch) else [element]
        return seen

    def snapshots(self, parallelism: int = 1) -> list[RestoredState]:
        state = dict(self.operator.snapshot_state(Barrier(1, 0)).operator_state)
        return [RestoredState(1, operator_state=part) for part in redistributed([state], parallelism)]


def rows_of(seen: list[Any]) -> list[Any]:
    return [element for element in seen if not isinstance(element, (Watermark, WatermarkStatus))]


def test_event_time_is_that_of_the_slowest_partition() -> None:
    subtask = Subtask({"a": [[100], [200]], "b": [[10], [20]]})
    assert subtask.read(4) == [("a", 100), ("b", 10), Watermark(9), ("a", 200), ("b", 20), Watermark(19)]


def test_a_partition_that_has_ended_holds_nothing_back() -> None:
    subtask = Subtask({"a": [[100], [200], [300]], "b": [[10]]})
    assert subtask.read() == [
        ("a", 100),
        ("b", 10),
        Watermark(9),
        ("a", 200),
        Watermark(199),  # `b` has ended
        ("a", 300),
        Watermark(299),
    ]


def test_a_reader_that_asks_for_more_is_polled_again_when_it_is_woken() -> None:
    subtask = Subtask({})
    assert subtask.operator.poll() is Poll.WAIT  # a request is under way
    assert not subtask.operator.has_input
    subtask.reader.add_split(Split("found by itself", ((7,),)))
    subtask.operator.wake()
    assert subtask.operator.has_input


def test_alignment_pauses_the_partitions_that_are_ahead_and_no_other() -> None:
    subtask = Subtask({"a": [[100], [200]], "b": [[10], [20], [250]]})
    subtask.operator.align(50)
    assert rows_of(subtask.read()) == [("a", 100), ("b", 10), ("b", 20), ("b", 250)]
    assert subtask.reader.paused == {"a", "b"}
    subtask.operator.align(150)
    assert subtask.reader.paused == {"b"}
    assert rows_of(subtask.read()) == [("a", 200)]


def test_a_reader_that_cannot_pause_partitions_stands_still_when_all_are_ahead() -> None:
    subtask = Subtask({"a": [[100], [200]], "b": [[10], [60], [70]]}, Interleaving)
    subtask.operator.align(50)
    assert rows_of(subtask.read()) == [("a", 100), ("b", 10), ("a", 200), ("b", 60)]
    assert not subtask.operator.has_input
    subtask.operator.align(1000)
    assert rows_of(subtask.read()) == [("b", 70)]


@pytest.mark.parametrize("parallelism", [1, 2, 3])
def test_partitions_go_on_where_they_were_with_their_event_time(parallelism: int) -> None:
    """A batch is handed on in pieces; what is left of it is in the snapshot, as is how far each partition was."""
    subtask = Subtask({"a": [[100, 101, 102], [200]], "b": [[10, 11, 12], [20]]})
    before = subtask.read(3, rows_max=2)
    assert rows_of(before) == [("a", 100), ("a", 101), ("a", 102), ("b", 10), ("b", 11)]
    restored = [Subtask({}, restored=state) for state in subtask.snapshots(parallelism)]
    after = [one.read() for one in restored]
    assert sorted(rows_of([element for seen in after for element in seen])) == [("a", 200), ("b", 12), ("b", 20)]


def test_the_rest_of_a_batch_comes_first_after_a_restore_also_of_a_partition_that_was_read_to_its_end() -> None:
    subtask = Subtask({"a": [[100, 101, 102]]})
    assert rows_of(subtask.read(1, rows_max=2)) == [("a", 100), ("a", 101)]
    del subtask.reader.left["a"]  # a reader that lets go of a partition with its last batch
    (state,) = subtask.snapshots()
    again = Subtask({"b": [[500]]}, restored=state)
    assert again.read() == [Watermark(100), ("a", 102), ("b", 500), Watermark(499)]


def test_a_batch_without_its_partition_is_refused() -> None:
    class Forgetful(Interleaving):
        def poll(self) -> Any:
            return Batch.of_rows([1])

    with pytest.raises(UsageError, match=r"Forgetful.poll\(\) returned a Batch.*reads_concurrently"):
        Subtask({"a": []}, Forgetful).operator.poll()


def test_no_partition_makes_rows_of_another_late() -> None:
    """Whatever the turns: a row is late only if it is late in its own partition."""
    splits = {"a": [[50], [60], [70]], "b": [[1], [2], [3]], "c": [[30], [20], [40]]}
    watermark_ms, late = MIN_TIMESTAMP_MS, []
    for element in Subtask(splits).read():
        if isinstance(element, Watermark):
            watermark_ms = element.timestamp_ms
        elif element[1] <= watermark_ms:
            late.append(element)
    assert set(late) <= {("c", 20)}
