"""Stories of one slot: turns, mailbox, sleeping, canceling."""

from __future__ import annotations

import threading

from oracle.workbench import ListSink, ListSource, RecordingPartition, Workbench

from shmflink.connectors.base import Poll, Split
from shmflink.core.batch import Batch
from shmflink.core.elements import EndOfData
from shmflink.core.ids import SubtaskId
from shmflink.network.local import LocalChannel, LocalDoorbell, LocalInputGate, LocalResultPartition, SingleSelector
from shmflink.operators.functions.map import MapOperator
from shmflink.taskmanager.listener import TaskState
from shmflink.taskmanager.outputs import OutputEnd
from shmflink.taskmanager.sink import SinkOperator
from shmflink.taskmanager.slot import Slot
from shmflink.taskmanager.source import SourceOperator

_WATCHDOG_SECONDS = 30


def _ended(bench: Workbench) -> dict[SubtaskId, TaskState]:
    return dict(bench.listener.states)


def test_a_pipeline_of_tasks_runs_to_its_end(bench: Workbench) -> None:
    sink = ListSink()
    channel = LocalChannel(1)
    out = OutputEnd(LocalResultPartition([channel], SingleSelector()))
    slot = Slot(0, LocalDoorbell())
    slot.add_task(bench.task(bench.node(SourceOperator(ListSource([[1], [2], [3]])), partitions=[0]), [], [out]))
    slot.add_task(bench.task(bench.node(SinkOperator(sink)), [LocalInputGate([channel])], vertex=1))
    slot.run()
    assert sink.rows == [1, 2, 3]
    assert set(_ended(bench).values()) == {TaskState.FINISHED}


def test_runnable_tasks_take_turns(bench: Workbench) -> None:
    order: list[int] = []
    slot = Slot(0, LocalDoorbell())
    for number in range(3):
        (channel,), gate = bench.gate()
        for _ in range(2):
            channel.try_push(Batch.of_rows([number]))
        channel.push_control(EndOfData())
        slot.add_task(bench.task(bench.node(MapOperator(order.append)), [gate], subtask=number))
    slot.run()
    assert order == [0, 1, 2, 0, 1, 2]


def test_downstream_goes_first(bench: Workbench) -> None:
    order: list[int] = []
    slot = Slot(0, LocalDoorbell())
    for vertex in (0, 2, 1):
        (channel,), gate = bench.gate()
        channel.try_push(Batch.of_rows([vertex]))
        slot.add_task(bench.task(bench.node(MapOperator(order.append)), [gate], vertex=vertex))
    slot.run_once()
    assert order == [2, 1, 0]


def test_a_blocked_task_does_not_hold_up_the_others(bench: Workbench) -> None:
    slot = Slot(0, LocalDoorbell())
    (stuck,), stuck_gate = bench.gate()
    (free,), free_gate = bench.gate()
    blocked, done = RecordingPartition(credits=0), RecordingPartition()
    node = bench.node(MapOperator(lambda x: x), partitions=[0])
    slot.add_task(bench.task(node, [stuck_gate], [OutputEnd(blocked)], vertex=1))
    slot.add_task(bench.task(bench.node(MapOperator(lambda x: x), partitions=[0]), [free_gate], [OutputEnd(done)]))
    stuck.try_push(Batch.of_rows([0]))
    for number in range(5):
        free.try_push(Batch.of_rows([number]))
    while slot.run_once():
        pass
    assert done.rows() == [0, 1, 2, 3, 4]
    assert blocked.elements == []


def test_a_sleeping_slot_is_woken_by_an_assigned_split(bench: Workbench) -> None:
    source = ListSource([Poll.NEED_SPLIT, [1]])
    slot = Slot(0, LocalDoorbell())
    task = bench.task(bench.node(SourceOperator(source)))
    requested = threading.Event()
    bench.listener.split_requested = lambda _: requested.set()
    slot.add_task(task)
    thread = threading.Thread(target=slot.run, daemon=True)
    thread.start()
    assert requested.wait(_WATCHDOG_SECONDS)
    slot.assign_split(SubtaskId(0, 0), Split("s", None), exhausted=True)
    thread.join(_WATCHDOG_SECONDS)
    assert not thread.is_alive()
    assert source.splits == [Split("s", None), "no more"]
    assert _ended(bench) == {SubtaskId(0, 0): TaskState.FINISHED}


def test_cancel_from_another_thread_ends_a_slot_that_sleeps(bench: Workbench) -> None:
    sink = ListSink()
    _, gate = bench.gate()
    slot = Slot(0, LocalDoorbell())
    slot.add_task(bench.task(bench.node(SinkOperator(sink)), [gate]))
    thread = threading.Thread(target=slot.run, daemon=True)
    thread.start()
    slot.cancel()
    thread.join(_WATCHDOG_SECONDS)
    assert not thread.is_alive()
    assert sink.events in (["close"], [])  # cancelled after or before it was opened
    assert _ended(bench) == {SubtaskId(0, 0): TaskState.CANCELED}


def test_a_failing_task_leaves_its_siblings_to_the_listener(bench: Workbench) -> None:
    slot = Slot(0, LocalDoorbell())
    (bad,), bad_gate = bench.gate()
    _, good_gate = bench.gate()
    slot.add_task(bench.task(bench.node(MapOperator(lambda x: 1 / x)), [bad_gate]))
    slot.add_task(bench.task(bench.node(MapOperator(lambda x: x)), [good_gate], subtask=1))
    bad.try_push(Batch.of_rows([0]))
    while slot.run_once():
        pass
    assert _ended(bench) == {SubtaskId(0, 0): TaskState.FAILED, SubtaskId(0, 1): TaskState.RUNNING}
    assert len(slot.tasks) == 1
    slot.cancel()
    slot.run()
    assert _ended(bench)[SubtaskId(0, 1)] is TaskState.CANCELED


def test_shutdown_ends_a_slot_without_tasks() -> None:
    slot = Slot(0, LocalDoorbell())
    thread = threading.Thread(target=slot.run, daemon=True)
    thread.start()
    slot.shutdown()
    thread.join(_WATCHDOG_SECONDS)
    assert not thread.is_alive()


def test_what_waits_in_open_segments_is_shipped_before_sleeping(bench: Workbench) -> None:
    (channel,), gate = bench.gate()
    out = RecordingPartition(holds_back=True)
    slot = Slot(0, LocalDoorbell())
    node = bench.node(MapOperator(lambda x: x), partitions=[0])
    slot.add_task(bench.task(node, [gate], [OutputEnd(out, 10**15)]))
    channel.try_push(Batch.of_rows([1]))
    while slot.run_once():
        pass
    assert out.flushes == 0
    slot.wake()
    slot.sleep()  # the mail keeps it awake
    assert out.flushes == 1
