"""From deployments to tasks: chains as trees, side outputs, selectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from oracle.workbench import Workbench, run_to_end

from shmflink.core.batch import Batch
from shmflink.core.elements import EndOfData
from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.serialization.codec import dumps_function
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import SerializationError
from shmflink.graph.execution_graph import ExecutionGraph, TaskDeployment
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, NodeKind
from shmflink.network.local import (
    BroadcastSelector,
    CustomSelector,
    KeyGroupSelector,
    RoundRobinSelector,
    ShuffleSelector,
    SingleSelector,
)
from shmflink.operators.base import Operator, SideOutput
from shmflink.operators.functions.map import MapOperator
from shmflink.taskmanager.assembly import LocalChannels, TaskResources, build_task, local_selector
from shmflink.taskmanager.listener import TaskState


class Parity(Operator):
    """Even rows in the main output, odd ones in the side output `odd`."""

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch | SideOutput]:
        yield Batch.of_rows([row for row in batch.rows() if row % 2 == 0])
        yield SideOutput("odd", Batch.of_rows([row for row in batch.rows() if row % 2]))


def _chained(operator: Any, *children: int, tag: str | None = None) -> ChainedOperator:
    payload = operator if isinstance(operator, bytes) else dumps_function(operator, "operator")
    return ChainedOperator("0" * 32, type(operator).__name__, "", None, NodeKind.OPERATOR, payload, children, tag)


def _identity() -> ChainedOperator:
    return _chained(MapOperator(lambda x: x))


def _deployments(
    chain: tuple[ChainedOperator, ...], edges: tuple[JobEdge, ...], width: int = 1
) -> list[TaskDeployment]:
    """Vertex 0 feeds `chain` (vertex 1), whose edges go to vertices 2, 3, ... of parallelism `width`."""
    vertices = [
        JobVertex(0, "In", 1, 128, "default", None, (_identity(),)),
        JobVertex(1, "Chain", 1, 128, "default", None, chain),
    ]
    vertices += [JobVertex(2 + i, "Out", width, 128, "default", None, (_identity(),)) for i in range(len(edges))]
    graph = JobGraph(
        JobId.random(), "job", False, tuple(vertices), (JobEdge(0, 0, 0, 1, 0, ShipStrategy.FORWARD), *edges)
    )
    return list(ExecutionGraph.build(graph, 0, 1, 1).tasks)


def test_a_chain_is_a_tree_whose_branches_and_side_outputs_feed_their_edges(bench: Workbench) -> None:
    chain = (
        _chained(Parity(), 1, 2),
        _chained(MapOperator(lambda x: ("even", x))),
        _chained(MapOperator(lambda x: ("odd", x)), tag="odd"),
    )
    edges = (
        JobEdge(1, 1, 1, 2, 0, ShipStrategy.FORWARD),
        JobEdge(2, 1, 2, 3, 0, ShipStrategy.FORWARD),
        JobEdge(3, 1, 0, 4, 0, ShipStrategy.FORWARD, output_tag="odd"),
    )
    tasks = _deployments(chain, edges)
    local = LocalChannels()
    task = build_task(tasks[1], TaskResources(bench.listener, local, clock=bench.clock), bench)
    task.open()
    channel = local.channel(0, tasks[1].inputs[0].channels[0])
    channel.try_push(Batch.of_rows([1, 2, 3]))
    channel.push_control(EndOfData())
    run_to_end(task)
    seen = []
    for output in tasks[1].outputs:
        queue = local.channel(output.edge, output.channels[0]).queue
        seen.append([row for element in queue if isinstance(element, Batch) for row in element.rows()])
        assert queue[-1] == EndOfData()
    assert seen == [[("even", 2)], [("odd", 1), ("odd", 3)], [1, 3]]
    assert bench.listener.states[-1] == (SubtaskId(1, 0), TaskState.FINISHED)


@pytest.mark.parametrize(
    ("strategy", "width", "selector"),
    [
        (ShipStrategy.BROADCAST, 1, BroadcastSelector),
        (ShipStrategy.HASH, 1, SingleSelector),
        (ShipStrategy.HASH, 3, KeyGroupSelector),
        (ShipStrategy.GLOBAL, 3, SingleSelector),
        (ShipStrategy.CUSTOM, 3, CustomSelector),
        (ShipStrategy.SHUFFLE, 3, ShuffleSelector),
        (ShipStrategy.REBALANCE, 3, RoundRobinSelector),
        (ShipStrategy.RESCALE, 3, RoundRobinSelector),
    ],
)
def test_every_strategy_has_its_selector(strategy: ShipStrategy, width: int, selector: type) -> None:
    partitioner = dumps_function(lambda key, n: 0, "partitioner")
    edge = JobEdge(1, 1, 0, 2, 0, strategy, partitioner)
    task = _deployments((_identity(),), (edge,), width)[1]
    assert isinstance(local_selector(task, task.outputs[0]), selector)


def test_user_code_that_cannot_be_loaded_is_an_error_of_its_own(bench: Workbench) -> None:
    task = _deployments((_chained(b"no pickle"),), ())[1]
    with pytest.raises(SerializationError):
        build_task(task, TaskResources(bench.listener), bench)
