"""How much memory an attempt needs, before it is reserved."""

from __future__ import annotations

import pytest

from shmflink.core.ids import JobId
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import ResourceError
from shmflink.graph.execution_graph import ExecutionGraph
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, NodeKind
from shmflink.jobmanager.attempt_memory import attempt_memory, check_memory


def _graph(parallelism: int, strategy: ShipStrategy) -> ExecutionGraph:
    operator = ChainedOperator("0" * 32, "x", "x", None, NodeKind.OPERATOR, b"")
    vertices = tuple(JobVertex(i, f"v{i}", parallelism, 128, "default", None, (operator,)) for i in range(2))
    graph = JobGraph(JobId("0" * 32), "job", True, vertices, (JobEdge(0, 0, 0, 1, 0, strategy),))
    return ExecutionGraph.build(graph, 0, 1, 1)


def test_exclusive_segments_per_channel_and_a_pool_per_output() -> None:
    memory = attempt_memory(_graph(3, ShipStrategy.HASH), {})
    assert [(one.rings, one.segments, one.data_capacity) for one in memory.values()] == [(3, 2 * 3 + 8, 10)] * 3
    assert memory[0].arena_bytes == 14 * 256 * 1024


def test_the_options_decide() -> None:
    settings = {
        "taskmanager.memory.segment-size": "64 kb",
        "taskmanager.network.memory.buffers-per-channel": "1",
        "taskmanager.network.memory.floating-buffers-per-gate": "0",
    }
    memory = attempt_memory(_graph(2, ShipStrategy.HASH), settings)
    assert memory[0].arena_bytes == 2 * 64 * 1024


def test_local_edges_take_no_memory_but_an_arena_has_a_segment() -> None:
    memory = attempt_memory(_graph(2, ShipStrategy.FORWARD), {})
    assert [(one.rings, one.segments) for one in memory.values()] == [(0, 1), (0, 1)]


def test_too_much_is_refused_with_the_sum() -> None:
    memory = attempt_memory(_graph(16, ShipStrategy.HASH), {})
    check_memory(memory.values(), 1 << 40)
    with pytest.raises(ResourceError, match=r"need 160 MiB of memory \(640 segments of 256 kb\), 1 MiB are available"):
        check_memory(memory.values(), 1 << 20)
