"""The required order of steps at a checkpoint. Each of these was found by the simulation, as lost or repeated rows."""

from __future__ import annotations

import time
from typing import Any

import pytest
from oracle.workbench import ListSource, RecordingPartition, Workbench, run_to_end

from shmflink.checkpoint.handles import ChannelState, CheckpointLocation, OperatorSubtaskState
from shmflink.checkpoint.manifest import CHECKPOINT, Manifest, OperatorState
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.checkpoint.state_files import StateFileWriter
from shmflink.connectors.base import Poll, Split
from shmflink.core.batch import Batch
from shmflink.core.elements import BARRIER_SAVEPOINT, BARRIER_UNALIGNED, MAX_WATERMARK, Barrier, EndOfData
from shmflink.core.ids import SubtaskId
from shmflink.errors import StateMismatchError
from shmflink.graph.execution_graph import ExecutionGraph
from shmflink.rpc.messages import CheckpointAcknowledged
from shmflink.taskmanager.listener import TaskState
from shmflink.taskmanager.outputs import OutputEnd
from shmflink.taskmanager.restore import Restore
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.source import SourceOperator
from shmflink.taskmanager.task_states import TaskRestore, TaskSnapshot
from shmflink.testing import ManualClock
from shmflink.testing.simulation.jobs import job_graph
from shmflink.testing.simulation.operators import SimulatedSink
from shmflink.testing.simulation.taskmanager import SimulatedWriter
from shmflink.testing.simulation.world import World, enter_world

TASK, OTHER = SubtaskId(0, 0), SubtaskId(0, 1)
LOCATION = CheckpointLocation("", "", 1 << 20)


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def writer(told: list[Any]) -> SimulatedWriter:
    def failed(subtask: Any, number: int, error: Any) -> None:
        told.append(("failed", number))

    return SimulatedWriter(1, ManualClock(), told.append, failed, told.append, may_fail=lambda _: False)


def _snapshot(number: int, task: SubtaskId = TASK) -> TaskSnapshot:
    return TaskSnapshot(task, Barrier(number, 0), ())


def test_a_task_says_that_it_has_finished_after_its_acknowledgements(writer: SimulatedWriter, told: list[Any]) -> None:
    """[C13] Else its state would be missing in the checkpoint, as if it had finished before."""
    writer.begins(1, LOCATION)
    writer.put(_snapshot(1))
    writer.after_writing(TASK, lambda: told.append("finished"))
    writer.after_writing(OTHER, lambda: told.append("other finished"))
    assert told == ["other finished"]
    assert writer.step()
    assert told == ["other finished", CheckpointAcknowledged(1, TASK, 1, ()), "finished"]


def test_so_it_does_where_the_barrier_was_faster_than_the_trigger(writer: SimulatedWriter, told: list[Any]) -> None:
    writer.put(_snapshot(1))
    writer.put(_snapshot(2))
    writer.after_writing(TASK, lambda: told.append("finished"))
    writer.begins(2, LOCATION)
    writer.step()
    assert told == [CheckpointAcknowledged(1, TASK, 2, ())]
    writer.aborted(1)
    assert told[1:] == ["finished"]


def _splits_source(bench: Workbench) -> tuple[Any, Any]:
    source = ListSource([Poll.NEED_SPLIT, Poll.WAIT, Poll.WAIT])
    task = bench.task(bench.node(SourceOperator(source), partitions=[0]), outputs=[OutputEnd(RecordingPartition())])
    task.open()
    task.run_quantum()
    return task, source.splits


def test_a_split_between_two_triggers_belongs_between_their_snapshots(bench: Workbench) -> None:
    task, splits = _splits_source(bench)
    task.trigger_checkpoint(Barrier(1, 0), stops=False)
    task.assign_split(Split("s", None), exhausted=False)
    task.trigger_checkpoint(Barrier(2, 0), stops=False)
    assert splits == []
    task.run_quantum()
    assert [snapshot.barrier.checkpoint_id for snapshot in bench.listener.snapshots] == [1]
    assert splits == [Split("s", None)]
    task.run_quantum()
    assert [snapshot.barrier.checkpoint_id for snapshot in bench.listener.snapshots] == [1, 2]


def test_a_split_is_handed_over_where_a_trigger_is_said_twice(bench: Workbench) -> None:
    """Aligned first, then unaligned: the second one changes nothing for a source."""
    task, splits = _splits_source(bench)
    task.trigger_checkpoint(Barrier(1, 0), stops=False)
    task.trigger_checkpoint(Barrier(1, 0, BARRIER_UNALIGNED), stops=False)
    task.assign_split(Split("s", None), exhausted=False)
    task.run_quantum()
    task.run_quantum()
    assert len(bench.listener.snapshots) == 1
    assert splits == [Split("s", None)]


@pytest.mark.parametrize("is_second_late", [False, True])
def test_a_repeated_trigger_keeps_no_split_out_of_the_next_checkpoint(bench: Workbench, is_second_late: bool) -> None:
    """The split was assigned before the next trigger, so the enumerator no longer has it in that checkpoint."""
    task, splits = _splits_source(bench)
    task.trigger_checkpoint(Barrier(1, 0), stops=False)
    if is_second_late:
        task.run_quantum()
    task.trigger_checkpoint(Barrier(1, 0, BARRIER_UNALIGNED), stops=False)
    task.assign_split(Split("s", None), exhausted=False)
    task.trigger_checkpoint(Barrier(2, 0), stops=False)
    if not is_second_late:
        task.run_quantum()
    assert splits == [Split("s", None)]
    task.run_quantum()
    assert [snapshot.barrier.checkpoint_id for snapshot in bench.listener.snapshots] == [1, 2]


def test_a_checkpoint_begins_although_a_newer_one_was_aborted_before(bench: Workbench) -> None:
    task, _ = _splits_source(bench)
    task.trigger_checkpoint(Barrier(1, 0), stops=False)
    task.trigger_checkpoint(Barrier(2, 0), stops=False)
    task.checkpoint_aborted(2)
    task.run_quantum()
    task.run_quantum()
    assert [snapshot.barrier.checkpoint_id for snapshot in bench.listener.snapshots] == [1]


def test_a_drain_ends_no_source_that_was_restored_as_finished(bench: Workbench) -> None:
    out = RecordingPartition()
    head = bench.node(SourceOperator(ListSource([])), partitions=[0])
    task = bench.task(head, outputs=[OutputEnd(out)], restore=TaskRestore(is_finished=True))
    task.open()
    task.drain()
    run_to_end(task)
    assert out.elements == [MAX_WATERMARK, EndOfData()]
    assert bench.listener.states[-1] == (TASK, TaskState.FINISHED)


def test_what_comes_behind_the_savepoint_that_stopped_the_job_waits_for_no_checkpoint(bench: Workbench) -> None:
    """The source had ended by itself: its end was on its way already. What it made fire comes again from there."""
    world = World(may_fail=lambda place: False)
    enter_world(world)
    (channel,), gate = bench.gate()
    task = bench.task(
        bench.node(SinkOperator(SimulatedSink())), [gate], settings=CheckpointSettings(interval_ms=10, history=0)
    )
    task.open()
    channel.push_control(Barrier(1, 0, BARRIER_SAVEPOINT))
    run_to_end(task)
    channel.try_push(Batch.of_rows([(0, 0, 1)]))
    run_to_end(task)
    task.checkpoint_completed(1, stops=True)
    channel.push_control(EndOfData())
    deadline = time.monotonic() + 20
    while not task.is_terminal:  # its committer is a thread
        run_to_end(task)
        assert time.monotonic() < deadline, bench.listener.endings
    assert bench.listener.endings == []
    assert bench.listener.states[-1] == (TASK, TaskState.FINISHED)
    assert not world.committed


def test_rows_on_an_edge_that_is_gone_are_not_dropped_in_silence() -> None:
    """Another parallelism can chain what was not chained: the rows on the edge between have no place."""

    deployment = ExecutionGraph.build(job_graph("count", 1, 0), 0, 1, 1).tasks[1]
    operator = deployment.operators[0]
    file = StateFileWriter(LOCATION, 1, 1).write_batches(operator.operator_id, 0, [Batch.of_rows([(1,)])])
    state = OperatorSubtaskState(operator.operator_id, 0, channels=(ChannelState(99, 0, file),))
    known = OperatorState(operator.operator_id, None, operator.name, 1, 1, 8, (state,))
    restore = Restore("chk-1", allows_pickle=True)
    restore.__dict__["_manifest"] = Manifest(1, "", "", 0, CHECKPOINT, (known,))
    with pytest.raises(StateMismatchError, match="on edges that the job no longer has"):
        restore.of(deployment)
