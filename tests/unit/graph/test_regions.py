"""Failover regions: connected tasks fail together, others continue."""

from __future__ import annotations

from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.execution_graph import ExecutionGraph
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, NodeKind
from shmflink.graph.regions import part_of, regions_of


def _execution(strategies: list[tuple[int, int, ShipStrategy]], vertices: int, parallelism: int) -> ExecutionGraph:
    operator = ChainedOperator("0" * 32, "x", "x", None, NodeKind.OPERATOR, b"")
    nodes = tuple(JobVertex(i, f"v{i}", parallelism, 128, f"group {i}", None, (operator,)) for i in range(vertices))
    edges = tuple(JobEdge(i, source, 0, target, 0, strategy) for i, (source, target, strategy) in enumerate(strategies))
    return ExecutionGraph.build(JobGraph(JobId("0" * 32), "job", False, nodes, edges), 0, 1, 1)


def test_forward_edges_make_a_region_of_each_pipeline_and_a_shuffle_makes_one() -> None:
    pipelines = regions_of(_execution([(0, 1, ShipStrategy.FORWARD)], 2, 3))
    assert pipelines == tuple(frozenset({SubtaskId(0, i), SubtaskId(1, i)}) for i in range(3))
    [everything] = regions_of(_execution([(0, 1, ShipStrategy.HASH)], 2, 3))
    assert len(everything) == 6


def test_two_jobs_in_one_graph_are_two_regions() -> None:
    execution = _execution([(0, 1, ShipStrategy.HASH), (2, 3, ShipStrategy.HASH)], 4, 2)
    assert [{task.vertex for task in region} for region in regions_of(execution)] == [{0, 1}, {2, 3}]


def test_the_part_of_a_region_has_dense_rings_that_both_ends_agree_on() -> None:
    execution = _execution([(0, 1, ShipStrategy.FORWARD), (2, 3, ShipStrategy.HASH)], 4, 2)
    for region in regions_of(execution):
        part = part_of(execution, region)
        assert {task.subtask for task in part.tasks} == region
        of_inputs = {(c.producer, c.consumer): c.ring for t in part.tasks for e in t.inputs for c in e.channels}
        of_outputs = {(c.producer, c.consumer): c.ring for t in part.tasks for e in t.outputs for c in e.channels}
        assert of_inputs == of_outputs
        for number in part.taskmanagers:
            rings = [c.ring for t in part.tasks_of(number) for e in t.inputs for c in e.channels if c.ring >= 0]
            assert sorted(rings) == list(range(part.rings_of(number)))
        assert all(
            task.slot == next(t for t in execution.tasks if t.subtask == task.subtask).slot for task in part.tasks
        )
