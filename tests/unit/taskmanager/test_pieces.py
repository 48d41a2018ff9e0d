"""A slow function delays nothing else: barriers, timers and results come between pieces of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from oracle.workbench import ListSink, RecordingPartition, Workbench, run_to_end

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.connectors.base import SinkWriter
from shmflink.core.batch import Batch
from shmflink.core.elements import BARRIER_ALIGNED, BARRIER_UNALIGNED, Barrier, EndOfData, Watermark
from shmflink.core.keys.columns import encode_keys
from shmflink.core.watermark_strategy import TimestampAssigner, WatermarkStrategy
from shmflink.operators.base import Operator
from shmflink.operators.columns.map_batches import MapBatchesOperator
from shmflink.operators.functions.filter import FilterOperator
from shmflink.operators.functions.flat_map import FlatMapOperator
from shmflink.operators.functions.map import MapOperator
from shmflink.operators.functions.process import KeyedProcessOperator, ProcessOperator
from shmflink.operators.functions.reduce import ReduceOperator
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.operators.slices import PIECE_NS
from shmflink.operators.time.timestamps_and_watermarks import TimestampsAndWatermarksOperator
from shmflink.taskmanager.outputs import OutputEnd
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.task_states import TaskRestore

ROWS = 400
RECORD_MS = 25
UNALIGNED = Barrier(1, 0, BARRIER_UNALIGNED)
EXACTLY_ONCE = CheckpointSettings(interval_ms=100)


class Itself(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value)


def slow(bench: Workbench) -> Callable[..., Any]:
    """25 ms for each call."""

    def call(value: Any, *_: Any) -> Any:
        bench.clock.advance_ms(RECORD_MS)
        return value

    return call


class Emits:
    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def process_element(self, value: Any, ctx: Any) -> Any:
        yield self.call(value)


PER_RECORD: dict[str, Callable[[Callable[..., Any]], Operator]] = {
    "map": MapOperator,
    "filter": lambda call: FilterOperator(lambda value: call(value) >= 0),
    "flat_map": lambda call: FlatMapOperator(lambda value: [call(value)]),
    "process": lambda call: ProcessOperator(Emits(call)),
    "key selector": KeyExtractor,
}


@pytest.mark.parametrize("name", sorted(PER_RECORD))
def test_no_quantum_of_a_slow_function_takes_longer_than_a_piece(bench: Workbench, name):
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    task = bench.task(bench.node(PER_RECORD[name](slow(bench)), partitions=[0]), [gate], [OutputEnd(out)])
    task.open()
    channel.try_push(Batch.of_rows(list(range(ROWS))))
    while task.is_runnable():
        before_ns = bench.clock.monotonic_ns()
        task.run_quantum()
        assert bench.clock.monotonic_ns() - before_ns <= PIECE_NS
    assert out.rows() == list(range(ROWS))


def test_a_slow_function_at_the_end_of_a_chain_counts(bench: Workbench):
    (channel,), gate = bench.gate()
    head = bench.node(FlatMapOperator(lambda value: [value] * 3), bench.node(MapOperator(slow(bench)), partitions=[0]))
    out = RecordingPartition()
    task = bench.task(head, [gate], [OutputEnd(out)])
    task.open()
    channel.try_push(Batch.of_rows(list(range(ROWS))))
    while task.is_runnable():
        before_ns = bench.clock.monotonic_ns()
        task.run_quantum()
        assert bench.clock.monotonic_ns() - before_ns <= 2 * PIECE_NS  # three rows come of one
    assert len(out.rows()) == 3 * ROWS


def test_fast_functions_get_whole_slices(bench: Workbench):
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    task = bench.task(bench.node(MapOperator(lambda x: x), partitions=[0]), [gate], [OutputEnd(out)])
    task.open()
    channel.try_push(Batch.of_rows(list(range(4000))))
    run_to_end(task)
    assert [batch.num_rows for batch in out.elements] == [1, 8, 64, 512, 1024, 1024, 1024, 343]


def test_batches_of_a_function_of_batches_are_not_cut(bench: Workbench):
    """They are the user's unit."""
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    head = bench.node(MapBatchesOperator(slow(bench)), bench.node(MapOperator(lambda row: row), partitions=[0]))
    task = bench.task(head, [gate], [OutputEnd(out)])
    task.open()
    channel.try_push(Batch.of_rows(list(range(ROWS))))
    run_to_end(task)
    assert bench.clock.monotonic_ns() == RECORD_MS * 1_000_000


def test_timestamps_of_a_function_leave_the_batches_whole(bench: Workbench):
    (channel,), gate = bench.gate()
    strategy = WatermarkStrategy.no_watermarks().with_timestamp_assigner(Itself())
    batches = bench.node(MapBatchesOperator(slow(bench)), partitions=[0])
    task = bench.task(
        bench.node(TimestampsAndWatermarksOperator(strategy), batches), [gate], [OutputEnd(RecordingPartition())]
    )
    task.open()
    channel.try_push(Batch.of_rows(list(range(ROWS))))
    run_to_end(task)
    assert bench.clock.monotonic_ns() == RECORD_MS * 1_000_000


def test_timers_come_between_two_pieces(bench: Workbench):
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    node = bench.node(MapOperator(slow(bench)), partitions=[0])
    task = bench.task(node, [gate], [OutputEnd(out)])
    task.open()
    node.context.processing_time.schedule(100, lambda at_ms: iter([Watermark(at_ms)]))
    channel.try_push(Batch.of_rows(list(range(ROWS))))
    run_to_end(task)
    assert 4 <= out.elements.index(Watermark(100)) <= 6


def pieces_of(task: Any, count: int) -> None:
    for _ in range(count):
        task.run_quantum()


def test_an_unaligned_barrier_passes_between_two_pieces_and_the_rest_is_in_flight(bench: Workbench):
    """[C21] What waits in the gate, too: the barrier behind it is reached at once."""
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    task = bench.task(
        bench.node(MapOperator(slow(bench)), partitions=[0]), [gate], [OutputEnd(out)], settings=EXACTLY_ONCE
    )
    task.open()
    channel.try_push(Batch.of_rows([0, 1, 2, 3]))
    channel.try_push(Batch.of_rows([4, 5, 6]))
    channel.push_control(Watermark(9))
    channel.push_control(UNALIGNED)
    channel.try_push(Batch.of_rows([7]))
    pieces_of(task, 2)
    task.trigger_checkpoint(UNALIGNED, stops=False)
    pieces_of(task, 2)  # the snapshot, and one more piece
    assert out.rows() == [0, 1, 2]
    assert out.elements[2] == UNALIGNED
    (snapshot,) = bench.listener.snapshots
    ((edge, producer, elements),) = snapshot.channels
    assert (edge, producer) == (0, 0)
    assert [element.rows() if isinstance(element, Batch) else element for element in elements] == [
        [2, 3],
        [4, 5, 6],
        Watermark(9),
    ]
    channel.push_control(EndOfData())
    run_to_end(task)
    assert out.rows() == list(range(8))
    assert out.elements.index(Watermark(9)) == len([e for e in out.elements if isinstance(e, Batch)])


def test_the_next_checkpoint_has_what_was_taken_ahead_for_the_one_before(bench: Workbench):
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    task = bench.task(
        bench.node(MapOperator(slow(bench)), partitions=[0]), [gate], [OutputEnd(out)], settings=EXACTLY_ONCE
    )
    task.open()
    channel.try_push(Batch.of_rows(list(range(6))))
    channel.push_control(UNALIGNED)
    task.trigger_checkpoint(UNALIGNED, stops=False)
    pieces_of(task, 2)
    later = Barrier(2, 0, BARRIER_UNALIGNED)
    channel.push_control(later)
    task.trigger_checkpoint(later, stops=False)
    run_to_end(task)
    held = [
        [row for _, _, elements in s.channels for e in elements for row in e.rows()] for s in bench.listener.snapshots
    ]
    assert held == [list(range(6)), list(range(1, 6))]
    assert out.rows() == list(range(6))


def test_a_task_goes_on_with_what_was_in_flight(bench: Workbench):
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    restore = TaskRestore(channels=((0, 0, [Batch.of_rows([2, 3]), Watermark(9)]),))
    task = bench.task(bench.node(MapOperator(slow(bench)), partitions=[0]), [gate], [OutputEnd(out)], restore=restore)
    task.open()
    channel.try_push(Batch.of_rows([7]))
    run_to_end(task)
    assert out.rows() == [2, 3, 7]
    assert out.elements[2] == Watermark(9)


class Sends(SinkWriter):
    """A sink of the user's."""

    def __init__(self, send: Callable[[list[Any]], None]) -> None:
        self.send = send

    def write(self, batch: Batch) -> None:
        self.send(batch.rows())


def sizes_of(bench: Workbench, cost_ms: Callable[[int], int]) -> list[int]:
    """Rows that a sink of the user's is given at once, where that is what it costs."""
    sizes: list[int] = []

    def send(rows: list[Any]) -> None:
        sizes.append(len(rows))
        bench.clock.advance_ms(cost_ms(len(rows)))

    sink = ListSink()
    sink.create_writer = lambda context: Sends(send)
    (channel,), gate = bench.gate()
    task = bench.task(bench.node(SinkOperator(sink)), [gate])
    task.open()
    for _ in range(20):
        channel.try_push(Batch.of_rows([0] * 100))
        run_to_end(task, 10_000)
    assert sum(sizes) == 2000
    return sizes


def test_a_sink_of_the_users_that_takes_its_time_for_each_row_gets_few(bench: Workbench):
    sizes = sizes_of(bench, lambda rows: 25 * rows)
    assert max(sizes) <= 4
    assert sum(size > 2 for size in sizes) < len(sizes) / 16


def test_a_sink_of_the_users_that_takes_the_same_time_for_many_gets_many(bench: Workbench):
    sizes = sizes_of(bench, lambda rows: 200)
    assert sizes[-10:] == [100] * 10


def test_reduce_is_cut_too(bench: Workbench):
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    call = slow(bench)
    reduce = bench.node(ReduceOperator(lambda a, b: call(a + b)), partitions=[0])
    task = bench.task(bench.node(KeyExtractor(lambda value: 0), reduce), [gate], [OutputEnd(out)])
    task.open()
    channel.try_push(Batch.of_rows([1] * 20))
    while task.is_runnable():
        before_ns = bench.clock.monotonic_ns()
        task.run_quantum()
        assert bench.clock.monotonic_ns() - before_ns <= 8 * RECORD_MS * 1_000_000  # the first costs nothing
    assert out.rows() == list(range(1, 21))


class SlowTimers:
    """A timer for each key, at 5."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call

    def process_element(self, value: Any, ctx: Any) -> None:
        ctx.timer_service().register_event_time_timer(5)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield self.call(ctx.get_current_key())


@pytest.mark.parametrize("kind", [BARRIER_ALIGNED, BARRIER_UNALIGNED])
def test_a_barrier_passes_between_slow_timers_and_the_others_fire_after_a_restore(bench: Workbench, kind):
    """[T11][C21] The watermark is not forwarded yet: it comes again, and fires what is left."""
    barrier = Barrier(1, 0, kind)
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    node = bench.node(KeyedProcessOperator(SlowTimers(slow(bench))), partitions=[0])
    node.context.key_groups = range(128)
    task = bench.task(node, [gate], [OutputEnd(out)], settings=EXACTLY_ONCE)
    task.open()
    channel.try_push(Batch.of_rows(list(range(12)), keys=encode_keys(list(range(12)))))
    channel.push_control(Watermark(5))
    while len(out.rows()) < 4:
        task.run_quantum()
    channel.push_control(barrier)
    task.trigger_checkpoint(barrier, stops=False)
    while not bench.listener.snapshots:
        task.run_quantum()
    assert 0 < len(out.rows()) <= 7
    before = out.elements[: out.elements.index(barrier)]
    fired = [row for batch in before for row in batch.rows()]
    run_to_end(task)
    assert sorted(out.rows()) == list(range(12))
    assert out.elements[-1] == Watermark(5)
    (snapshot,) = bench.listener.snapshots
    ((_, frozen),) = snapshot.operators
    timers = [keyed for keyed in frozen.keyed if keyed.name == "_event_timers"]
    left = sum(batch.num_rows for keyed in timers for batch in keyed.batches())
    assert left == 12 - len(fired)
    assert frozen.operator_state["_watermark"].elements == [5]
