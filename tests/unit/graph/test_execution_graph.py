"""Slots, channels, rings and blocks."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from oracle.recorded_program import Program

from shmflink.core.ids import SubtaskId
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import Types
from shmflink.errors import InsufficientSlotsError
from shmflink.graph.execution_graph import (
    ExecutionGraph,
    channel_pairs,
    check_slots,
    slots_by_group,
    slots_required,
    taskmanager_of,
)
from shmflink.plan.settings import ChainingStrategy

# Flink's RescalePartitionerTest / EdgeManagerBuildUtil: consumers of each producer
RESCALE_TABLES = [
    (1, 1, [[0]]),
    (1, 3, [[0, 1, 2]]),
    (2, 4, [[0, 1], [2, 3]]),
    (4, 2, [[0], [0], [1], [1]]),
    (3, 1, [[0], [0], [0]]),
    (2, 3, [[0, 1], [2]]),
    (3, 2, [[0], [1], [1]]),
    (3, 4, [[0, 1], [2], [3]]),
    (4, 3, [[0], [1], [2], [2]]),
    (3, 7, [[0, 1, 2], [3, 4], [5, 6]]),
    (7, 3, [[0], [0], [1], [1], [2], [2], [2]]),
    (5, 5, [[0], [1], [2], [3], [4]]),
]


@pytest.mark.parametrize(("producers", "consumers", "table"), RESCALE_TABLES)
def test_rescale_as_flink(producers: int, consumers: int, table: list[list[int]]) -> None:
    reached = defaultdict(list)
    for producer, consumer in channel_pairs(ShipStrategy.RESCALE, producers, consumers):
        reached[producer].append(consumer)
    assert [reached[p] for p in range(producers)] == table


@pytest.mark.parametrize("producers", range(1, 14))
@pytest.mark.parametrize("consumers", range(1, 14))
def test_rescale_by_flinks_formula(producers: int, consumers: int) -> None:
    expected = set()
    if producers >= consumers:
        for c in range(consumers):
            expected |= {(p, c) for p in range(c * producers // consumers, (c + 1) * producers // consumers)}
    else:
        for p in range(producers):
            start = (p * consumers + producers - 1) // producers
            end = ((p + 1) * consumers + producers - 1) // producers
            expected |= {(p, c) for c in range(start, end)}
    assert set(channel_pairs(ShipStrategy.RESCALE, producers, consumers)) == expected


@pytest.mark.parametrize("strategy", [s for s in ShipStrategy if not s.is_pointwise])
def test_the_others_connect_all_to_all(strategy: ShipStrategy) -> None:
    assert sorted(channel_pairs(strategy, 2, 3)) == [(p, c) for p in range(2) for c in range(3)]


def shuffled(
    program: Program, up: int = 2, down: int = 2, strategy: Any = ShipStrategy.REBALANCE, **fields: Any
) -> Any:
    program.operator(program.partition(program.source(parallelism=up), strategy), parallelism=down, **fields)
    return program.job_graph("Sums")


def test_slots_are_the_largest_parallelism_summed_over_groups(program: Program) -> None:
    first = program.operator(program.source(parallelism=2), parallelism=4)
    program.sink(program.operator(first, parallelism=2, slot_sharing_group="io"), parallelism=1)
    graph = program.job_graph()
    assert slots_by_group(graph) == {"default": 4, "io": 2}
    assert slots_required(graph) == 6
    check_slots(graph, 6)


def test_too_few_slots_is_a_clear_error(program: Program) -> None:
    graph = shuffled(program, 4, 2, slot_sharing_group="io")
    with pytest.raises(InsufficientSlotsError) as error:
        check_slots(graph, 3)
    assert str(error.value) == (
        "job 'Sums' needs 6 slots (group 'default': 4, group 'io': 2), but the cluster has 3: "
        "add slots (--slots 6, or the option cluster.slots), or lower the parallelism (-p, or set_parallelism())"
    )


def test_subtask_i_of_every_vertex_of_a_group_is_in_slot_i(program: Program) -> None:
    first = program.operator(program.source(parallelism=2), parallelism=3, name="A")
    program.operator(first, parallelism=2, slot_sharing_group="io", name="B")
    graph = ExecutionGraph.build(program.job_graph(), 0, 1, 2)
    assert [(t.task_name, t.slot) for t in graph.tasks] == [
        ("Source: in (1/2)", 0),
        ("Source: in (2/2)", 1),
        ("A (1/3)", 0),
        ("A (2/3)", 1),
        ("A (3/3)", 2),
        ("B (1/2)", 3),
        ("B (2/2)", 4),
    ]
    assert (graph.slots, graph.num_taskmanagers) == (5, 3)


def test_an_edge_within_a_slot_has_rings_where_none_may_be_local(program: Program) -> None:
    job = shuffled(program, 1, 1)
    local, remote = (ExecutionGraph.build(job, 0, 1, 1, allows_local=allowed) for allowed in (True, False))
    assert [[edge.is_local for edge in task.inputs] for task in local.tasks] == [[], [True]]
    assert [[edge.is_local for edge in task.inputs] for task in remote.tasks] == [[], [False]]
    assert [c.ring for task in remote.tasks for edge in (*task.inputs, *task.outputs) for c in edge.channels] == [0, 0]
    assert (local.rings_of(0), remote.rings_of(0)) == (0, 1)


def test_the_declared_type_of_rows_is_that_of_the_edge(program: Program) -> None:
    typed = program.operator(program.source(parallelism=1, output_type=Types.INT()), parallelism=2, name="A")
    program.operator(typed, parallelism=1, name="B")
    job = program.job_graph()
    of_ints, untyped = job.edges
    assert of_ints.row_type
    assert untyped.row_type == b""
    graph = ExecutionGraph.build(job, 0, 1, 2)
    assert [edge.row_type for task in graph.tasks for edge in task.inputs] == [of_ints.row_type] * 2 + [b""]


def test_blocks_are_dense_per_taskmanager(program: Program) -> None:
    graph = ExecutionGraph.build(shuffled(program, 4, 4), 0, 1, 2)
    for taskmanager in range(2):
        blocks = [(t.block, len(t.operators)) for t in graph.tasks_of(taskmanager)]
        assert [block for block, _ in blocks] == [sum(1 + n for _, n in blocks[:i]) for i in range(4)]


def test_rings_are_dense_per_consuming_taskmanager(program: Program) -> None:
    graph = ExecutionGraph.build(shuffled(program, 3, 4), 0, 1, 2)
    assert (graph.rings_of(0), graph.rings_of(1)) == (6, 6)
    assert (graph.output_channels_of(0), graph.output_channels_of(1)) == (8, 4)
    for taskmanager in range(2):
        rings = [c.ring for t in graph.tasks_of(taskmanager) for i in t.inputs for c in i.channels]
        assert sorted(rings) == list(range(6))


def test_both_ends_see_the_same_channels(program: Program) -> None:
    graph = ExecutionGraph.build(shuffled(program, 3, 2, ShipStrategy.RESCALE), 0, 1, 1)
    written = {c for t in graph.tasks for o in t.outputs for c in o.channels}
    read = {c for t in graph.tasks for i in t.inputs for c in i.channels}
    assert written == read
    assert {(c.producer.subtask, c.consumer.subtask) for c in read} == {(0, 0), (1, 1), (2, 1)}
    for task in graph.tasks:
        for channel in (c for i in task.inputs for c in i.channels):
            assert (channel.consumer, channel.consumer_slot) == (task.subtask, task.slot)


def test_channels_are_in_order_of_the_other_end(program: Program) -> None:
    graph = ExecutionGraph.build(shuffled(program, 3, 3), 0, 1, 1)
    first_producer, first_consumer = graph.tasks[0], graph.tasks[3]
    assert [c.consumer.subtask for c in first_producer.outputs[0].channels] == [0, 1, 2]
    assert [c.producer.subtask for c in first_consumer.inputs[0].channels] == [0, 1, 2]


@pytest.mark.parametrize(
    ("up", "down", "strategy", "group", "is_local"),
    [
        (2, 2, ShipStrategy.FORWARD, None, True),
        (1, 1, ShipStrategy.HASH, None, True),
        (2, 2, ShipStrategy.RESCALE, None, True),
        (2, 2, ShipStrategy.HASH, None, False),
        (1, 2, ShipStrategy.REBALANCE, None, False),
        (2, 2, ShipStrategy.FORWARD, "io", False),
        (1, 1, ShipStrategy.FORWARD, "io", False),
    ],
)
def test_an_edge_is_local_when_every_channel_stays_in_its_slot(
    program: Program, up: int, down: int, strategy: ShipStrategy, group: str | None, is_local: bool
) -> None:
    job_graph = shuffled(program, up, down, strategy, slot_sharing_group=group, chaining_strategy=ChainingStrategy.HEAD)
    graph = ExecutionGraph.build(job_graph, 0, 1, 1)
    ends = [i.is_local for t in graph.tasks for i in t.inputs] + [o.is_local for t in graph.tasks for o in t.outputs]
    assert set(ends) == {is_local}
    rings = [c.ring for t in graph.tasks for i in t.inputs for c in i.channels]
    assert (set(rings) == {-1}) is is_local


def test_deployments_carry_the_attempt_and_the_edge(program: Program) -> None:
    graph = ExecutionGraph.build(shuffled(program, 1, 2, ShipStrategy.HASH, max_parallelism=16), 3, 44, 1)
    source, first, second = graph.tasks
    assert {(t.attempt, t.epoch) for t in graph.tasks} == {(3, 44)}
    (output,) = source.outputs
    assert (output.strategy, output.consumer_max_parallelism, output.operator) == (ShipStrategy.HASH, 16, 0)
    assert [t.subtask for t in (first, second)] == [SubtaskId(1, 0), SubtaskId(1, 1)]
    assert (first.inputs[0].edge, first.inputs[0].input_index) == (0, 0)


def test_a_slot_belongs_to_one_taskmanager() -> None:
    assert [taskmanager_of(slot, 3) for slot in range(7)] == [0, 0, 0, 1, 1, 1, 2]
