"""Stories of one task: quanta, suspension, control elements, the end, failures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from oracle.workbench import ListSink, ListSource, RecordingPartition, Workbench, run_to_end

from shmflink.connectors.base import Poll, Split
from shmflink.core.batch import Batch
from shmflink.core.elements import (
    MAX_WATERMARK,
    Barrier,
    ControlElement,
    Element,
    EndOfData,
    LatencyMarker,
    Watermark,
    WatermarkStatus,
)
from shmflink.errors import UserFunctionError
from shmflink.operators.base import Operator, SideOutput
from shmflink.operators.functions.flat_map import OUTPUT_ROWS_MAX, FlatMapOperator
from shmflink.operators.functions.map import MapOperator
from shmflink.taskmanager.listener import TaskState
from shmflink.taskmanager.outputs import OutputEnd
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.source import SourceOperator


def _states(bench: Workbench) -> list[TaskState]:
    return [state for _, state in bench.listener.states]


def test_a_batch_goes_through_the_chain_to_the_partition_and_the_end_follows(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    add = bench.node(MapOperator(lambda x: x + 1), partitions=[0])
    task = bench.task(bench.node(MapOperator(lambda x: x * 10), add), [gate], [OutputEnd(out)])
    task.open()
    assert not task.is_runnable()
    channel.try_push(Batch.of_rows([1, 2]))
    channel.push_control(EndOfData())
    run_to_end(task)
    assert out.rows() == [11, 21]
    assert out.elements[2:] == [MAX_WATERMARK, EndOfData()]  # two pieces: what a record costs is not known yet
    assert _states(bench) == [TaskState.INITIALIZING, TaskState.RUNNING, TaskState.FINISHED]
    assert out.is_closed
    assert (task.counters.records_in, task.counters.records_out, task.counters.bytes_out) == (2, 2, 400)


def test_an_exploding_flat_map_is_suspended_exactly_where_credit_ends(bench: Workbench) -> None:
    produced = itertools.count()
    (channel,), gate = bench.gate()
    out = RecordingPartition(credits=2)
    node = bench.node(FlatMapOperator(lambda _: produced), partitions=[0])
    task = bench.task(node, [gate], [OutputEnd(out)])
    task.open()
    channel.try_push(Batch.of_rows([0]))
    run_to_end(task)
    assert len(out.elements) == 2
    assert next(produced) == 3 * OUTPUT_ROWS_MAX  # two are out, one stands in front of the partition
    assert task.is_backpressured
    out.credits = 1
    assert task.is_runnable()
    run_to_end(task)
    assert len(out.elements) == 3
    task.cancel()
    assert task.state is TaskState.CANCELED


def test_an_explosion_that_a_filter_swallows_still_ends_its_quanta(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    swallow = bench.node(FlatMapOperator(lambda _: None))
    task = bench.task(bench.node(FlatMapOperator(lambda _: itertools.count()), swallow), [gate])
    task.open()
    channel.try_push(Batch.of_rows([0]))
    for _ in range(5):
        assert task.is_runnable()
        task.run_quantum()
    task.cancel()
    assert _states(bench)[-1] is TaskState.CANCELED


def test_no_control_element_overtakes_a_suspended_batch(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    out = RecordingPartition(credits=0)
    task = bench.task(bench.node(MapOperator(lambda x: x), partitions=[0]), [gate], [OutputEnd(out)])
    task.open()
    channel.try_push(Batch.of_rows([1]))
    channel.push_control(Watermark(5))
    run_to_end(task)
    assert out.elements == []
    out.credits = 1
    run_to_end(task)
    assert [type(element) for element in out.elements] == [Batch, Watermark]


def test_one_output_without_credit_does_not_repeat_rows_on_the_other(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    first, second = RecordingPartition(), RecordingPartition(credits=0)
    node = bench.node(MapOperator(lambda x: x), partitions=[0, 1])
    task = bench.task(node, [gate], [OutputEnd(first), OutputEnd(second)])
    task.open()
    channel.try_push(Batch.of_rows([1]))
    run_to_end(task)
    second.credits = 5
    run_to_end(task)
    assert first.rows() == second.rows() == [1]


def test_a_busy_sink_holds_up_the_chain_and_nothing_is_written_to_it(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    sink = ListSink()
    head = bench.node(FlatMapOperator(lambda n: range(n)), bench.node(SinkOperator(sink)))
    task = bench.task(head, [gate])
    task.open()
    sink.is_available = False
    channel.try_push(Batch.of_rows([3]))
    assert not task.is_runnable()
    assert task.is_backpressured
    sink.is_available = True
    run_to_end(task)
    assert sink.rows == [0, 1, 2]


def test_the_task_finishes_only_when_the_sink_has_finished(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    sink = ListSink()
    sink.is_finished = False
    task = bench.task(bench.node(SinkOperator(sink)), [gate])
    task.open()
    channel.push_control(EndOfData())
    run_to_end(task)
    assert task.state is TaskState.RUNNING
    assert sink.events == ["finish"]
    sink.is_finished = True
    run_to_end(task)
    assert task.state is TaskState.FINISHED
    assert sink.events == ["finish", "close"]


class _NeedsCommit(SinkOperator):
    has_staged = True

    @property
    def needs_commit(self) -> bool:
        return self.has_staged


@pytest.mark.parametrize("is_before", [True, False])
def test_a_drain_keeps_those_that_have_not_said_that_they_are_at_their_end(bench: Workbench, is_before: bool) -> None:
    """Who has, may have had its last checkpoint: there would never be another, and the job would stand still."""
    (channel,), gate = bench.gate()
    sink = _NeedsCommit(ListSink())
    task = bench.task(bench.node(sink), [gate])
    task.open()
    if is_before:
        task.drain()
    channel.push_control(EndOfData())
    run_to_end(task)
    assert task.state is TaskState.RUNNING
    task.drain()
    sink.has_staged = False
    run_to_end(task)
    assert task.state is (TaskState.RUNNING if is_before else TaskState.FINISHED)


def test_end_of_data_of_every_channel_is_needed(bench: Workbench) -> None:
    channels, gate = bench.gate(2)
    out = RecordingPartition()
    task = bench.task(bench.node(MapOperator(lambda x: x), partitions=[0]), [gate], [OutputEnd(out)])
    task.open()
    channels[0].push_control(MAX_WATERMARK)
    channels[0].push_control(EndOfData())
    run_to_end(task)
    assert out.elements == []
    channels[1].push_control(MAX_WATERMARK)
    channels[1].push_control(EndOfData())
    run_to_end(task)
    assert out.elements == [MAX_WATERMARK, EndOfData()]  # the last watermark once


def test_an_end_that_is_not_drained_fires_nothing(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    task = bench.task(bench.node(_HoldsBack(), partitions=[0]), [gate], [OutputEnd(out)])
    task.open()
    channel.push_control(EndOfData(drained=False))
    run_to_end(task)
    assert out.elements == [EndOfData(drained=False)]


class _HoldsBack(Operator):
    """Emits at watermarks and at the end."""

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        return iter(())

    def process_control(self, element: ControlElement) -> Iterator[Element]:
        if isinstance(element, Watermark):
            yield Batch.of_rows([f"fired at {element.timestamp_ms}"])
        yield element

    def finish(self) -> Iterator[Batch]:
        yield Batch.of_rows(["finished"])


def test_rule_11_what_a_watermark_causes_goes_out_before_it(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    out = RecordingPartition()
    node = bench.node(_HoldsBack(), bench.node(MapOperator(str.upper), partitions=[0]))
    task = bench.task(node, [gate], [OutputEnd(out)])
    task.open()
    channel.push_control(Watermark(7))
    run_to_end(task)
    assert [e.rows() if isinstance(e, Batch) else e for e in out.elements] == [["FIRED AT 7"], Watermark(7)]
    assert task.counters.watermark_ms == 7


def test_statuses_markers_and_aligned_barriers_are_passed_on(bench: Workbench) -> None:
    channels, gate = bench.gate(2)
    out = RecordingPartition()
    task = bench.task(bench.node(MapOperator(lambda x: x), partitions=[0]), [gate], [OutputEnd(out)])
    task.open()
    channels[0].push_control(Barrier(1, 0))
    channels[0].try_push(Batch.of_rows(["behind"]))
    channels[1].push_control(LatencyMarker(1, 2))
    channels[1].push_control(WatermarkStatus(idle=True))
    channels[0].push_control(WatermarkStatus(idle=True))
    run_to_end(task)
    assert out.elements == [LatencyMarker(1, 2)]  # channel 0 is blocked behind its barrier
    channels[1].push_control(Barrier(1, 0))
    run_to_end(task)
    assert out.elements[1] == Barrier(1, 0)
    assert out.rows() == ["behind"]
    assert out.elements[-1] == WatermarkStatus(idle=True)


def test_side_outputs_go_to_their_readers_and_are_dropped_without(bench: Workbench) -> None:
    class Split(Operator):
        def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch | SideOutput]:
            yield SideOutput("late", Batch.of_rows(["late"]))
            yield SideOutput("unread", Batch.of_rows(["unread"]))
            yield batch

    (channel,), gate = bench.gate()
    main, side = RecordingPartition(), RecordingPartition()
    node = bench.node(Split(), partitions=[0])
    node.side_partitions["late"] = [1]
    task = bench.task(node, [gate], [OutputEnd(main), OutputEnd(side)])
    task.open()
    channel.try_push(Batch.of_rows(["main"]))
    channel.push_control(Watermark(1))
    run_to_end(task)
    assert (main.rows(), side.rows()) == (["main"], ["late"])
    assert side.elements[-1] == main.elements[-1] == Watermark(1)


def test_a_source_asks_once_for_a_split_and_goes_on_when_it_comes(bench: Workbench) -> None:
    source = ListSource([Poll.NEED_SPLIT, [1, 2], Poll.WAIT, [3]])
    out = RecordingPartition()
    task = bench.task(bench.node(SourceOperator(source), partitions=[0]), outputs=[OutputEnd(out)])
    task.open()
    run_to_end(task)
    task.wake()
    run_to_end(task)
    assert len(bench.listener.requests) == 1
    task.assign_split(Split("s", None), exhausted=False)
    run_to_end(task)
    assert out.rows() == [1, 2]
    assert not task.is_runnable()  # WAIT
    task.wake()
    run_to_end(task)
    assert out.rows() == [1, 2, 3]
    assert out.elements[-2:] == [MAX_WATERMARK, EndOfData()]
    assert source.splits == [Split("s", None)]
    assert source.is_closed


def test_the_answer_that_splits_are_exhausted_reaches_the_reader(bench: Workbench) -> None:
    source = ListSource([Poll.NEED_SPLIT])
    task = bench.task(bench.node(SourceOperator(source)))
    task.open()
    run_to_end(task)
    task.assign_split(None, exhausted=False)  # none now: still waiting
    assert not task.is_runnable()
    task.assign_split(None, exhausted=True)
    run_to_end(task)
    assert source.splits == ["no more"]
    assert task.state is TaskState.FINISHED


def test_a_failure_is_reported_once_with_its_cause_and_closes_everything(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    sink = ListSink()
    task = bench.task(bench.node(MapOperator(lambda x: 1 / x), bench.node(SinkOperator(sink))), [gate])
    task.open()
    channel.try_push(Batch.of_rows([0]))
    channel.try_push(Batch.of_rows([0]))
    run_to_end(task)
    assert _states(bench) == [TaskState.INITIALIZING, TaskState.RUNNING, TaskState.FAILED]
    assert len(bench.listener.errors) == 1
    assert isinstance(bench.listener.errors[0], UserFunctionError)
    assert sink.events == ["close"]  # and no finish
    task.cancel()
    assert task.state is TaskState.FAILED


@pytest.mark.parametrize("error", [OSError("disk"), SystemExit(3)])
def test_whatever_a_source_raises_fails_its_task(bench: Workbench, error: BaseException) -> None:
    task = bench.task(bench.node(SourceOperator(ListSource([error]))))
    task.open()
    run_to_end(task)
    assert task.state is TaskState.FAILED
    assert bench.listener.errors == [error]


@pytest.mark.parametrize("said", ["checkpoint_completed", "checkpoint_aborted"])
def test_what_an_operator_raises_at_the_end_of_a_checkpoint_fails_its_task(
    bench: Workbench, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_checkpoint_id: int) -> None:
        raise OSError("disk")

    _, gate = bench.gate()
    operator = MapOperator(str)
    monkeypatch.setattr(operator, said, refuse)
    task = bench.task(bench.node(operator), [gate])
    task.open()
    if said == "checkpoint_completed":
        task.checkpoint_completed(1, stops=False)
    else:
        task.checkpoint_aborted(1)
    assert task.state is TaskState.FAILED
    assert [str(error) for error in bench.listener.errors] == ["disk"]


def test_a_failing_open_fails_the_task_and_closes_what_was_opened(bench: Workbench) -> None:
    class Broken:
        def open(self, _: object) -> None:
            raise OSError("no")

        def map(self, value: Any) -> Any:
            return value

    _, gate = bench.gate()
    sink = ListSink()
    task = bench.task(bench.node(MapOperator(Broken()), bench.node(SinkOperator(sink))), [gate])
    task.open()
    assert _states(bench) == [TaskState.INITIALIZING, TaskState.FAILED]
    assert sink.events == ["close"]


def test_a_close_that_fails_at_the_normal_end_fails_the_task(bench: Workbench) -> None:
    class Broken:
        def map(self, value: Any) -> Any:
            return value

        def close(self) -> None:
            raise OSError("flush failed")

    (channel,), gate = bench.gate()
    task = bench.task(bench.node(MapOperator(Broken())), [gate])
    task.open()
    channel.push_control(EndOfData())
    run_to_end(task)
    assert task.state is TaskState.FAILED
    assert "flush failed" in str(bench.listener.errors[0])


@pytest.mark.parametrize(("timeout_ns", "flushes"), [(0, [1, 1, 1]), (1000, [0, 0, 1]), (-1, [0, 0, 0])])
def test_buffer_timeouts(bench: Workbench, timeout_ns: int, flushes: list[int]) -> None:
    (channel,), gate = bench.gate()
    out = RecordingPartition(holds_back=True)
    node = bench.node(MapOperator(lambda x: x), partitions=[0])
    task = bench.task(node, [gate], [OutputEnd(out, timeout_ns)])
    task.open()
    channel.try_push(Batch.of_rows([1]))
    task.run_quantum()
    seen = [out.flushes]
    for _ in range(2):
        bench.clock.advance_ns(500)
        task.flush_due()
        seen.append(out.flushes)
    assert seen == flushes
    assert task.next_deadline_ns() == -1


def test_rows_wait_for_nobody_when_input_has_run_out(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    out = RecordingPartition(holds_back=True)
    node = bench.node(MapOperator(lambda x: x), partitions=[0])
    task = bench.task(node, [gate], [OutputEnd(out, 100_000)])
    task.open()
    channel.try_push(Batch.of_rows([1]))
    task.run_quantum()
    assert task.next_deadline_ns() == 100_000
    task.outputs.flush()
    assert out.flushes == 1


def test_a_task_held_up_by_one_output_does_not_ship_the_half_full_segments_of_another(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    first, second = RecordingPartition(holds_back=True), RecordingPartition(credits=0)
    node = bench.node(MapOperator(lambda x: x), partitions=[0, 1])
    task = bench.task(node, [gate], [OutputEnd(first, 10**12), OutputEnd(second, 10**12)])
    task.open()
    channel.try_push(Batch.of_rows([1]))
    run_to_end(task)
    flushes = first.flushes
    task.outputs.flush()
    assert first.flushes == flushes
    second.credits = 5
    run_to_end(task)
    task.outputs.flush()
    assert first.flushes == flushes + 1


def test_waiting_is_counted_as_backpressure_or_as_idle(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    out = RecordingPartition(credits=0)
    task = bench.task(bench.node(MapOperator(lambda x: x), partitions=[0]), [gate], [OutputEnd(out)])
    task.open()
    bench.clock.advance_ns(10)
    channel.try_push(Batch.of_rows([1]))
    task.run_quantum()
    bench.clock.advance_ns(100)
    out.credits = 1
    task.run_quantum()
    assert (task.counters.idle_ns, task.counters.backpressured_ns) == (10, 100)
