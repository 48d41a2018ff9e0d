"""Local pre-aggregation: a local half in each branch, before the exchange, and a global half after it."""

from __future__ import annotations

from typing import Any

import pytest
from oracle.plan_writer import PlanWriter

from shmflink.common import Types
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.errors import TypeMismatchError
from shmflink.expressions import col, count
from shmflink.plan.calls import Aggregate, Map, Union
from shmflink.planner.lowered import Subtasks
from shmflink.planner.rules import lowered

USER = (("user", col("user")),)
ROWS = Types.ROW_NAMED(["user", "n"], [Types.STRING(), Types.LONG()])


def names(pieces: Any) -> list[str]:
    return [piece.name for piece in pieces]


def test_columns_are_aggregated_twice_by_key_columns(writer: PlanWriter) -> None:
    made = lowered(Aggregate(USER, (("n", count()),)), [writer.table()])
    assert (names(made.local), names(made.operators)) == (["LocalAggregate"], ["Aggregate"])
    assert made.routing is not None
    assert (made.routing.strategy, made.routing.key_columns) == (ShipStrategy.HASH, ("user",))
    assert made.operators[0].subtasks is Subtasks.DEFAULT
    assert made.why.startswith("native")


def test_rows_of_a_declared_type_become_columns_first(writer: PlanWriter) -> None:
    rows = writer.call(Map(tuple, ROWS), writer.table())
    made = lowered(Aggregate(USER, (("n", count()),)), [rows])
    assert names(made.local) == ["Select", "LocalAggregate"]


def test_one_row_over_all_comes_of_one_subtask(writer: PlanWriter) -> None:
    made = lowered(Aggregate((), (("n", count()),)), [writer.table()])
    assert made.routing is not None
    assert made.routing.strategy is ShipStrategy.GLOBAL
    assert made.operators[0].subtasks is Subtasks.ONE


def test_expressions_over_several_aggregates_are_a_step_behind(writer: PlanWriter) -> None:
    mean = col("price").sum / col("price").count
    made = lowered(Aggregate(USER, (("mean", mean),)), [writer.table()])
    assert names(made.operators) == ["Aggregate", "Select"]
    assert made.operators[1].subtasks is Subtasks.LIKE_INPUT


def test_each_branch_of_a_union_has_a_local_half(writer: PlanWriter) -> None:
    both = writer.call(Union(), writer.table(), writer.table())
    counts = writer.call(Aggregate(USER, (("n", count()),)), both)
    made = writer.transformations()
    assert [made[number].name for number in range(counts.id, max(made) + 1)] == [
        "LocalAggregate",
        "LocalAggregate",
        "Union",
        "hash()",
        "Aggregate",
    ]
    assert writer.following == max(made) + 1  # the next call does not get a number that is taken


def test_what_does_not_fit_is_named_with_its_line(writer: PlanWriter) -> None:
    table = writer.table()
    with pytest.raises(TypeMismatchError, match=r"\.py:\d+: aggregate\(\): `user` is a key"):
        lowered(Aggregate(USER, (("user", count()),)), [table])
    with pytest.raises(TypeMismatchError, match="columns of this stream are not known"):
        lowered(Aggregate(USER, (("n", count()),)), [writer.call(Map(tuple), table)])
