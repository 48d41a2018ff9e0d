"""What the stream graph decides for the program."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.recorded_program import Program

from shmflink.connectors.base import Boundedness
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import JobGraphError
from shmflink.graph.job_graph import NodeKind
from shmflink.graph.stream_graph import StreamEdge, default_max_parallelism
from shmflink.planner.stream_graph_builder import RuntimeMode


def edges(graph: Any) -> list[tuple[str, str, str]]:
    return [(graph.nodes[e.source].name, str(e.strategy), graph.nodes[e.target].name) for e in graph.edges]


def test_nodes_are_named_and_ordered_inputs_first(program: Program) -> None:
    program.sink(program.operator(program.source("lines")), "out")
    nodes = list(program.stream_graph().nodes.values())
    assert [n.name for n in nodes] == ["Source: lines", "Map", "Sink: out"]
    assert [n.kind for n in nodes] == [NodeKind.SOURCE, NodeKind.OPERATOR, NodeKind.SINK]


def test_equal_parallelism_is_forward_and_different_is_rebalance(program: Program) -> None:
    program.sink(program.operator(program.source(parallelism=1), parallelism=4), parallelism=4)
    assert [s for _, s, _ in edges(program.stream_graph())] == ["REBALANCE", "FORWARD"]


def test_explicit_forward_between_different_parallelism_is_an_error(program: Program) -> None:
    forward = program.partition(program.source(parallelism=1), ShipStrategy.FORWARD)
    program.operator(forward, name="Parse", parallelism=3)
    with pytest.raises(JobGraphError, match=r"'Source: in' has 1 and 'Parse' has 3.*rebalance"):
        program.stream_graph()


def test_the_partitioning_nearest_to_the_consumer_wins(program: Program) -> None:
    twice = program.partition(
        program.partition(program.source(), ShipStrategy.REBALANCE), ShipStrategy.CUSTOM, "chooses"
    )
    target = program.operator(twice)
    assert program.stream_graph().edges == (StreamEdge(1, target.id, 0, ShipStrategy.CUSTOM, "chooses", None),)


def test_a_union_becomes_several_edges_into_one_input(program: Program) -> None:
    left, right = program.source("a"), program.partition(program.source("b"), ShipStrategy.SHUFFLE)
    program.operator(program.union(left, right), name="Both")
    assert edges(program.stream_graph()) == [
        ("Source: a", "FORWARD", "Both"),
        ("Source: b", "SHUFFLE", "Both"),
    ]
    assert {e.input_index for e in program.stream_graph().edges} == {0}


def test_two_inputs_are_told_apart(program: Program) -> None:
    program.operator(program.source("a"), program.source("b"), name="CoMap")
    assert [e.input_index for e in program.stream_graph().edges] == [0, 1]


def test_a_side_output_tags_its_edge_through_partitioning(program: Program) -> None:
    side = program.side_output(program.operator(program.source()), "late")
    program.operator(program.partition(side, ShipStrategy.REBALANCE))
    assert [(e.output_tag, str(e.strategy)) for e in program.stream_graph().edges][1] == ("late", "REBALANCE")


def test_diamonds_are_visited_once(program: Program) -> None:
    source = program.source()
    program.operator(program.union(program.operator(source, name="A"), program.operator(source, name="B")), name="C")
    assert [n.name for n in program.stream_graph().nodes.values()] == ["Source: in", "A", "B", "C"]


def test_an_operator_without_parallelism_is_like_its_input(program: Program) -> None:
    source = program.source(parallelism=3, max_parallelism=77, buffer_timeout_ms=5)
    key_by = program.operator(source, name="KeyBy", parallelism=None)
    node = program.stream_graph(parallelism=9, max_parallelism=99).nodes[key_by.id]
    assert (node.parallelism, node.max_parallelism, node.buffer_timeout_ms) == (3, 77, 5)


@pytest.mark.parametrize(
    ("left", "right", "own", "expected"),
    [
        (None, None, None, "default"),
        ("io", "io", None, "io"),
        ("io", None, None, "default"),
        ("io", "cpu", None, "default"),
        ("io", "io", "cpu", "cpu"),
        ("io", "io", "default", "default"),
    ],
)
def test_slot_sharing_groups_are_inherited_when_inputs_agree(
    program: Program, left: str | None, right: str | None, own: str | None, expected: str
) -> None:
    union = program.union(program.source("a", slot_sharing_group=left), program.source("b", slot_sharing_group=right))
    target = program.operator(union, slot_sharing_group=own)
    assert program.stream_graph().nodes[target.id].slot_sharing_group == expected


@pytest.mark.parametrize(
    ("parallelism", "expected"),
    [(1, 128), (85, 128), (86, 256), (128, 256), (171, 256), (172, 512), (21845, 32768), (32768, 32768)],
)
def test_default_max_parallelism(parallelism: int, expected: int) -> None:
    assert default_max_parallelism(parallelism) == expected


def test_parallelism_above_max_parallelism_is_an_error(program: Program) -> None:
    program.operator(program.source(), name="Parse", parallelism=5, max_parallelism=4)
    with pytest.raises(JobGraphError, match="'Parse' has parallelism 5, above its max parallelism 4"):
        program.stream_graph()


def test_the_jobs_max_parallelism_holds_for_all_that_set_none(program: Program) -> None:
    program.sink(program.source(max_parallelism=8))
    assert [n.max_parallelism for n in program.stream_graph(max_parallelism=64).nodes.values()] == [8, 64]


def test_a_fixed_parallelism_cannot_be_overridden(program: Program) -> None:
    source = program.source("one").source.__class__(fixed=1)
    program.sink(program.source("one", parallelism=2, source=source))
    with pytest.raises(JobGraphError, match="'Source: one' can only run with parallelism 1, but 2 is set"):
        program.stream_graph()


@pytest.mark.parametrize(
    ("mode", "bounded", "is_batch"),
    [
        (RuntimeMode.STREAMING, True, False),
        (RuntimeMode.BATCH, True, True),
        (RuntimeMode.AUTOMATIC, True, True),
        (RuntimeMode.AUTOMATIC, False, False),
    ],
)
def test_runtime_mode(program: Program, mode: RuntimeMode, bounded: bool, is_batch: bool) -> None:
    kind = program.source().source.__class__
    boundedness = Boundedness.BOUNDED if bounded else Boundedness.CONTINUOUS_UNBOUNDED
    program.sink(program.union(program.source("a"), program.source("b", source=kind(boundedness))))
    graph = program.stream_graph(runtime_mode=mode)
    assert graph.is_batch is is_batch
    assert {n.buffer_timeout_ms for n in graph.nodes.values()} == ({-1} if is_batch else {100})


def test_batch_mode_refuses_an_unbounded_source(program: Program) -> None:
    kind = program.source().source.__class__
    program.sink(program.source("ever", source=kind(Boundedness.CONTINUOUS_UNBOUNDED)))
    with pytest.raises(JobGraphError, match=r"source 'ever' is unbounded.*STREAMING or AUTOMATIC"):
        program.stream_graph(runtime_mode=RuntimeMode.BATCH)


def test_a_long_chain_needs_no_recursion(program: Program) -> None:
    stream = program.source()
    for _ in range(3000):
        stream = program.operator(stream)
    assert len(program.job_graph().vertices[0].operators) == 3001
