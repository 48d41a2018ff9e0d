"""Chains become vertices, and the connections between them become edges."""

from __future__ import annotations

import pytest
from oracle.recorded_program import Program

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import JobGraphError
from shmflink.graph.job_graph import ChainedOperator, NodeKind
from shmflink.graph.job_graph_builder import JobEnvironment, build_job_graph


def test_a_chain_is_a_tree_of_positions(program: Program) -> None:
    source = program.source("in")
    parsed = program.operator(source, name="Parse")
    program.sink(program.operator(parsed, name="Filter"), "a")
    program.sink(program.side_output(parsed, "bad"), "b")
    (vertex,) = program.job_graph().vertices
    described = [(o.name, o.kind, o.children, o.input_tag) for o in vertex.operators]
    assert described == [
        ("Source: in", NodeKind.SOURCE, (1,), None),
        ("Parse", NodeKind.OPERATOR, (2, 4), None),
        ("Filter", NodeKind.OPERATOR, (3,), None),
        ("Sink: a", NodeKind.SINK, (), None),
        ("Sink: b", NodeKind.SINK, (), "bad"),
    ]
    assert vertex.is_source
    assert [o.payload for o in vertex.operators][:2] == [b"source 'Source: in'", b"operator 'Parse'"]


def test_edges_leave_from_the_operator_in_the_chain(program: Program) -> None:
    key_by = program.operator(program.source(buffer_timeout_ms=7), name="KeyBy", parallelism=None)
    keyed = program.partition(key_by, ShipStrategy.HASH)
    program.sink(program.operator(keyed, name="Reduce", parallelism=4), parallelism=4)
    graph = program.job_graph()
    (edge,) = graph.edges
    assert [v.name for v in graph.vertices] == ["Source: in -> KeyBy", "Reduce -> Sink: out"]
    assert (edge.source, edge.source_operator, edge.target, edge.strategy) == (0, 1, 1, ShipStrategy.HASH)
    assert edge.buffer_timeout_ms == 7
    assert edge.partitioner == b""


def test_a_custom_partitioner_travels_with_its_edge(program: Program) -> None:
    custom = program.partition(program.source(), ShipStrategy.CUSTOM, max)
    program.operator(custom)
    (edge,) = program.job_graph().edges
    assert edge.partitioner == b"the partitioner between 'Source: in' and 'Map'"


def test_a_stream_united_with_itself_has_two_edges(program: Program) -> None:
    source = program.source()
    program.operator(program.union(source, source))
    assert [(e.index, e.source, e.target, e.input_index) for e in program.job_graph().edges] == [
        (0, 0, 1, 0),
        (1, 0, 1, 0),
    ]


def test_vertices_carry_parallelism_and_groups(program: Program) -> None:
    source = program.source(parallelism=3)
    program.operator(source, parallelism=100, slot_sharing_group="cpu", max_parallelism=300, co_location_group="x")
    first, second = program.job_graph().vertices
    assert (first.parallelism, first.max_parallelism, first.slot_sharing_group) == (3, 128, "default")
    assert (second.parallelism, second.max_parallelism, second.slot_sharing_group) == (100, 300, "cpu")
    assert (first.co_location_group, second.co_location_group) == (None, "x")


def test_co_located_vertices_must_share_a_slot_sharing_group(program: Program) -> None:
    source = program.source(co_location_group="x")
    program.operator(source, slot_sharing_group="io", co_location_group="x")
    with pytest.raises(JobGraphError, match=r"co-location group 'x'.*'Source: in'.*'default'.*'Map' \('io'\)"):
        program.job_graph()


def test_functions_are_shipped_by_the_codec(program: Program) -> None:
    program.operator(program.source())
    graph = build_job_graph(program.stream_graph(), JobEnvironment({"a": "b"}, ("/lib",), "/jobs", "/jobs/job.py"))
    operator = graph.vertices[0].operators[0]
    assert isinstance(operator, ChainedOperator)
    assert operator.payload
    assert (graph.configuration, graph.python_path, graph.working_directory) == (
        {"a": "b"},
        ("/lib",),
        "/jobs",
    )
    assert (graph.main_file, len(graph.job_id.hex)) == ("/jobs/job.py", 32)
    assert '"Source: in"' in graph.json_plan
