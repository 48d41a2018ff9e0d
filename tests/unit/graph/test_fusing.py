"""Column operators that are neighbors in a chain run as one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from oracle.recorded_program import Program

from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.expressions import col
from shmflink.graph.chaining import chain_heads
from shmflink.graph.fusing import fuse
from shmflink.operators.columns.expressions import ColumnsOperator
from shmflink.operators.columns.steps import Filter

ROWS = ColumnsTypeInfo(pa.schema([("a", pa.int64())]))


def filtered(program: Program, before: Any, least: int, **fields: Any) -> Any:
    return program.operator(
        before, operator=ColumnsOperator(ROWS, [Filter(col("a") > least)]), output_type=ROWS, **fields
    )


def leaders(program: Program) -> dict[int, int]:
    graph = program.stream_graph()
    return fuse(graph, chain_heads(graph)).leader


def test_neighbors_become_one_operator_with_the_steps_of_both(program: Program) -> None:
    source = program.source(output_type=ROWS)
    program.sink(filtered(program, filtered(program, source, 1), 2))
    graph = program.stream_graph()
    fusing = fuse(graph, chain_heads(graph))
    assert fusing.leader == {1: 1, 2: 2, 3: 2, 4: 4}
    assert fusing.members(2) == [2, 3]
    assert len(fusing.payload[2].steps) == 2


def test_rows_that_somebody_else_reads_keep_the_operator_apart(program: Program) -> None:
    first = filtered(program, program.source(output_type=ROWS), 1)
    program.sink(first)
    program.sink(filtered(program, first, 2))
    assert leaders(program)[4] == 4


def test_operators_of_two_tasks_stay_two(program: Program) -> None:
    first = filtered(program, program.source(output_type=ROWS), 1)
    filtered(program, first, 2, parallelism=3)
    assert leaders(program) == {1: 1, 2: 2, 3: 3}


def test_other_operators_are_not_fused(program: Program) -> None:
    program.operator(filtered(program, program.source(output_type=ROWS), 1))
    assert leaders(program) == {1: 1, 2: 2, 3: 3}
