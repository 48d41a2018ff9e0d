"""One sentence about what limits a job."""

from __future__ import annotations

import pytest
from shmflink.cli.bottleneck import bottleneck
from shmflink.cli.summary import OperatorTotals, TaskTotals


def task(vertex: int, name: str, busy: int, held_up: int, idle: int, *operators: tuple[str, int]) -> TaskTotals:
    return TaskTotals(
        vertex,
        name,
        1,
        busy_ns=busy,
        backpressured_ns=held_up,
        idle_ns=idle,
        operators=[OperatorTotals(operator, busy_ns=ns) for operator, ns in operators],
    )


def test_the_busy_task_behind_a_held_up_one() -> None:
    tasks = [task(0, "Source: a", 20, 75, 5, ("Source: a", 18)), task(1, "sort", 97, 0, 3, ("sort", 90))]
    said = bottleneck(tasks, {1: [0]})
    assert said == "The bottleneck: 'sort' is busy 97 % of the time and holds up 'Source: a'"


def test_the_operator_of_a_chain_is_named() -> None:
    tasks = [task(0, "Source: a -> parse -> Filter", 90, 0, 10, ("Source: a", 10), ("parse", 70), ("Filter", 5))]
    assert "'parse' in 'Source: a -> parse -> Filter' is busy 90 %" in bottleneck(tasks, {})


def test_the_exchange_is_named_where_it_costs_most() -> None:
    tasks = [task(0, "Source: a", 90, 0, 10, ("Source: a", 10)), task(1, "b", 10, 0, 90, ("b", 9))]
    assert bottleneck(tasks, {1: [0]}).startswith("The bottleneck: the exchange behind 'Source: a' is busy 90 %")


def test_a_sink_that_waits_for_its_disk() -> None:
    tasks = [task(0, "Source: a", 30, 70, 0, ("Source: a", 30)), task(1, "Sink: w", 10, 85, 5, ("Sink: w", 10))]
    assert bottleneck(tasks, {1: [0]}) == "'Sink: w' is held up 85 % of the time by its sink"


def test_slots_that_wait_for_each_other() -> None:
    tasks = [task(0, "Source: a", 30, 60, 10, ("Source: a", 30)), task(1, "b", 10, 0, 90, ("b", 10))]
    assert bottleneck(tasks, {1: [0]}).startswith(
        "'Source: a' is held up 60 % of the time, and what reads from it is not busy"
    )


@pytest.mark.parametrize("tasks", [[], [task(0, "Source: a", 0, 0, 0)]])
def test_nothing_is_said_before_anything_ran(tasks: list[TaskTotals]) -> None:
    assert bottleneck(tasks, {}) == ""


def test_an_idle_job_waits_for_its_input() -> None:
    assert bottleneck([task(0, "Source: a", 1, 0, 99, ("Source: a", 1))], {}).startswith("No task is busy")
