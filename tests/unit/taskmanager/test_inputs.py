"""Several gates of one task as one input."""

from __future__ import annotations

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, Barrier, Watermark, WatermarkStatus
from shmflink.core.types.typeinfo import Types
from shmflink.network.local import LocalChannel, LocalInputGate
from shmflink.taskmanager.inputs import TaskInputs


def _gates(*channel_counts: int) -> tuple[list[list[LocalChannel]], list[LocalInputGate]]:
    channels = [[LocalChannel() for _ in range(count)] for count in channel_counts]
    return channels, [LocalInputGate(group) for group in channels]


def test_rule_4_union_is_a_plain_minimum_over_the_channels_of_all_gates() -> None:
    _, gates = _gates(1, 2)
    inputs = TaskInputs([(0, gate) for gate in gates])
    assert inputs.combine(0, Watermark(5)) == []
    assert inputs.combine(1, Watermark(7)) == []
    assert inputs.combine(2, Watermark(6)) == [Watermark(5)]


def test_rule_4_connect_has_a_minimum_per_input_and_is_idle_only_when_both_are() -> None:
    _, gates = _gates(1, 1)
    inputs = TaskInputs([(0, gates[0]), (1, gates[1])])
    assert inputs.combine(0, Watermark(5)) == []
    assert inputs.combine(1, WatermarkStatus(idle=True)) == [Watermark(5)]
    assert inputs.combine(0, WatermarkStatus(idle=True)) == [WatermarkStatus(idle=True)]


def test_rule_4_an_input_of_a_connect_that_returns_holds_the_other_back_and_nothing_is_flushed() -> None:
    _, gates = _gates(1, 1)
    inputs = TaskInputs([(0, gates[0]), (1, gates[1])])
    inputs.combine(1, Watermark(4))
    assert inputs.combine(0, Watermark(9)) == [Watermark(4)]
    assert inputs.combine(0, WatermarkStatus(idle=True)) == []
    assert inputs.combine(1, WatermarkStatus(idle=True)) == [WatermarkStatus(idle=True)]  # not 9
    assert inputs.combine(0, WatermarkStatus(idle=False)) == [Watermark(9), WatermarkStatus(idle=False)]
    assert inputs.combine(1, WatermarkStatus(idle=False)) == []
    assert inputs.combine(0, Watermark(20)) == []  # input 1 is at 4
    assert inputs.combine(1, MAX_WATERMARK) == [Watermark(20)]


def test_gates_are_polled_in_turn() -> None:
    channels, gates = _gates(1, 1)
    for (channel,) in channels:
        for number in range(2):
            assert channel.try_push(Batch.of_rows([number]))
    inputs = TaskInputs([(0, gates[0]), (1, gates[1])])
    order = []
    while (taken := inputs.poll()) is not None:
        order.append(taken[0])
    assert order == [0, 1, 0, 1]
    assert not inputs.is_available


def test_a_channel_is_blocked_from_its_barrier_until_all_have_delivered_it() -> None:
    channels, gates = _gates(2)
    inputs = TaskInputs([(0, gates[0])])
    barrier = Barrier(1, 0)
    assert inputs.barrier(0, barrier).aligned is None
    channels[0][0].try_push(Batch.of_rows(["after"]))
    channels[0][1].try_push(Batch.of_rows(["before"]))
    taken = inputs.poll()
    assert taken is not None
    assert isinstance(taken[2], Batch)
    assert taken[2].rows() == ["before"]
    assert inputs.poll() is None
    assert inputs.barrier(1, barrier).aligned == barrier
    assert inputs.is_available


def test_an_ended_channel_counts_as_aligned() -> None:
    _, gates = _gates(2)
    inputs = TaskInputs([(0, gates[0])])
    inputs.barrier(0, Barrier(1, 0))
    assert inputs.end_of_data(1).aligned == Barrier(1, 0)
    assert not inputs.has_ended
    assert inputs.barrier(0, Barrier(2, 0)).aligned == Barrier(2, 0)
    assert inputs.end_of_data(0).aligned is None
    assert inputs.has_ended


def test_what_was_restored_has_the_declared_type_of_its_gate() -> None:
    gate = LocalInputGate([LocalChannel(2)], Types.LONG())
    inputs = TaskInputs([(0, gate)])
    inputs.restore(0, [(0, Batch.of_rows([1]))])
    taken = inputs.poll()
    assert taken is not None
    assert isinstance(taken[2], Batch)
    assert taken[2].row_type == Types.LONG()
