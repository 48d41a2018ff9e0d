"""One sentence about what limits a job."""

from __future__ import annotations

import pytest

from shmflink.cli.bottleneck import bottleneck, skews
from shmflink.cli.summary import OperatorTotals, TaskTotals


def task(vertex: int, name: str, busy: int, back_pressured: int, idle: int, *operators: tuple[str, int]) -> TaskTotals:
    return TaskTotals(
        vertex,
        name,
        1,
        busy_ns=busy,
        backpressured_ns=back_pressured,
        idle_ns=idle,
        operators=[OperatorTotals(operator, busy_ns=ns) for operator, ns in operators],
    )


def test_the_busy_task_behind_a_back_pressured_one() -> None:
    tasks = [task(0, "Source: a", 20, 75, 5, ("Source: a", 18)), task(1, "sort", 97, 0, 3, ("sort", 90))]
    said = bottleneck(tasks, {1: [0]})
    assert said == "The bottleneck: 'sort' is busy 97 % of the time and back-pressures 'Source: a'"


def test_the_operator_of_a_chain_is_named() -> None:
    tasks = [task(0, "Source: a -> parse -> Filter", 90, 0, 10, ("Source: a", 10), ("parse", 70), ("Filter", 5))]
    assert "'parse' in 'Source: a -> parse -> Filter' is busy 90 %" in bottleneck(tasks, {})


def test_the_exchange_is_named_where_it_costs_most() -> None:
    tasks = [task(0, "Source: a", 90, 0, 10, ("Source: a", 10)), task(1, "b", 10, 0, 90, ("b", 9))]
    assert bottleneck(tasks, {1: [0]}).startswith("The bottleneck: the exchange behind 'Source: a' is busy 90 %")


def test_a_sink_that_waits_for_its_disk() -> None:
    tasks = [task(0, "Source: a", 30, 70, 0, ("Source: a", 30)), task(1, "Sink: w", 10, 85, 5, ("Sink: w", 10))]
    assert bottleneck(tasks, {1: [0]}) == "'Sink: w' is back-pressured 85 % of the time by its sink"


def test_slots_that_wait_for_each_other() -> None:
    tasks = [task(0, "Source: a", 30, 60, 10, ("Source: a", 30)), task(1, "b", 10, 0, 90, ("b", 10))]
    assert bottleneck(tasks, {1: [0]}).startswith(
        "'Source: a' is back-pressured 60 % of the time, but its consumers are not busy"
    )


@pytest.mark.parametrize("tasks", [[], [task(0, "Source: a", 0, 0, 0)]])
def test_nothing_is_said_before_anything_ran(tasks: list[TaskTotals]) -> None:
    assert bottleneck(tasks, {}) == ""


def test_an_idle_job_waits_for_its_input() -> None:
    assert bottleneck([task(0, "Source: a", 1, 0, 99, ("Source: a", 1))], {}).startswith("No task is busy")


def subtasks(name: str, rows: list[int], busy: list[int]) -> TaskTotals:
    """All subtasks together: 100 ns each, idle where they are not busy."""
    total = 100 * len(rows)
    return TaskTotals(
        2,
        name,
        len(rows),
        busy_ns=sum(busy),
        idle_ns=total - sum(busy),
        operators=[OperatorTotals(name, busy_ns=sum(busy))],
        subtask_rows=rows,
        subtask_busy_ns=busy,
    )


def test_one_busy_subtask_of_many_is_the_bottleneck() -> None:
    """All together are busy a third of the time: that said nothing."""
    said = bottleneck([subtasks("count", [10, 710, 140, 140], [5, 98, 15, 15])], {2: [0]})
    assert said == "The bottleneck: subtask 2/4 of 'count' is busy 98 % of the time, the other subtasks less"


def test_skew_is_named_with_the_subtask_and_its_share() -> None:
    task = subtasks("count", [100, 710, 95, 95], [0, 0, 0, 0])
    assert skews([task], {2}) == ["key skew: subtask 2/4 of 'count' gets 71 % of the rows"]
    assert skews([task], set()) == ["skew: subtask 2/4 of 'count' gets 71 % of the rows"]


@pytest.mark.parametrize(
    "rows",
    [
        [1_000],
        [700, 300],
        [400, 300, 300],
        [60, 240, 250, 450],
        [2, 90],
        [100] * 31 + [200],
    ],
)
def test_what_is_no_skew(rows: list[int]) -> None:
    """One subtask alone, shares that are nearly even, too few rows to say anything."""
    assert skews([subtasks("count", rows, [0] * len(rows))], {2}) == []


@pytest.mark.parametrize("rows", [[750, 250], [200, 100, 700], [100] * 31 + [300]])
def test_what_is_skew(rows: list[int]) -> None:
    assert len(skews([subtasks("count", rows, [0] * len(rows))], {2})) == 1
