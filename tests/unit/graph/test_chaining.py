"""Flink's chaining conditions, one by one and together."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.recorded_program import Program

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.chaining import is_chainable, why_not_chainable
from shmflink.plan.settings import ChainingStrategy

ALWAYS, HEAD, NEVER = ChainingStrategy


def only_edge(program: Program, **options: Any) -> tuple[Any, Any]:
    graph = program.stream_graph(**options)
    return graph, graph.edges[0]


def names(program: Program, **options: Any) -> list[str]:
    return [vertex.name for vertex in program.job_graph(**options).vertices]


@pytest.mark.parametrize("up", [ALWAYS, HEAD, NEVER])
@pytest.mark.parametrize("down", [ALWAYS, HEAD, NEVER])
@pytest.mark.parametrize("chaining", [True, False])
@pytest.mark.parametrize("same_group", [True, False])
@pytest.mark.parametrize("same_parallelism", [True, False])
@pytest.mark.parametrize("strategy", [None, *ShipStrategy])
def test_the_matrix_of_conditions(
    program: Program,
    up: ChainingStrategy,
    down: ChainingStrategy,
    chaining: bool,
    same_group: bool,
    same_parallelism: bool,
    strategy: ShipStrategy | None,
) -> None:
    if strategy is ShipStrategy.FORWARD and not same_parallelism:
        return  # refused earlier
    source = program.source(chaining_strategy=up)
    stream = source if strategy is None else program.partition(source, strategy)
    program.operator(
        stream,
        parallelism=2 if same_parallelism else 3,
        chaining_strategy=down,
        slot_sharing_group="default" if same_group else "other",
    )
    graph, edge = only_edge(program, is_chaining_enabled=chaining)
    expected = (
        chaining
        and same_group
        and same_parallelism
        and strategy in (None, ShipStrategy.FORWARD)
        and up is not NEVER
        and down is ALWAYS
    )
    assert is_chainable(graph, edge) is expected


def test_more_than_one_input_edge_is_not_chained(program: Program) -> None:
    source = program.source()
    program.operator(program.union(source, source), name="Both")
    graph, edge = only_edge(program)
    assert why_not_chainable(graph, edge) == "'Both' has 2 inputs"


@pytest.mark.parametrize(("allowed", "expected"), [(True, 1), (False, 2)])
def test_different_max_parallelism(program: Program, allowed: bool, expected: int) -> None:
    program.operator(program.source(max_parallelism=64), max_parallelism=32)
    graph = program.job_graph(chain_different_max_parallelism=allowed)
    assert len(graph.vertices) == expected
    assert graph.vertices[0].max_parallelism == 64  # the head's


def test_a_task_is_named_after_its_chain(program: Program) -> None:
    source = program.source("in")
    parsed = program.operator(source, name="Parse")
    program.sink(program.operator(parsed, name="Filter"), "a")
    program.sink(parsed, "b")
    assert names(program) == ["Source: in -> Parse -> (Filter -> Sink: a, Sink: b)"]


def test_start_new_chain_and_disable_chaining(program: Program) -> None:
    first = program.operator(program.source(), name="A", chaining_strategy=HEAD)
    second = program.operator(program.operator(first, name="B"), name="C", chaining_strategy=NEVER)
    program.operator(second, name="D")
    assert names(program) == ["Source: in", "A -> B", "C", "D"]


def test_chaining_disabled_for_the_job(program: Program) -> None:
    program.sink(program.operator(program.source()))
    assert names(program, is_chaining_enabled=False) == ["Source: in", "Map", "Sink: out"]
