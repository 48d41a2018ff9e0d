"""What a user's function can read about its subtask, and its metrics."""

from __future__ import annotations

from shmflink.operators.functions.map import MapOperator
from shmflink.operators.functions.runtime_context import OperatorRuntimeContext
from shmflink.testing import OperatorHarness


def _context() -> OperatorRuntimeContext:
    harness = OperatorHarness(
        MapOperator(lambda x: x), name="Map", subtask_index=1, parallelism=4, job_parameters={"k": "v"}
    )
    return OperatorRuntimeContext(harness.context)


def test_names_and_numbers_are_pyflinks() -> None:
    context = _context()
    assert context.get_task_name() == "Map"
    assert context.get_task_name_with_subtasks() == "Map (2/4)"
    assert context.get_index_of_this_subtask() == 1
    assert context.get_number_of_parallel_subtasks() == 4
    assert context.get_max_number_of_parallel_subtasks() == 128
    assert context.get_attempt_number() == 0
    assert context.get_job_parameter("k", "default") == "v"
    assert context.get_job_parameter("other", "default") == "default"


def test_metrics_are_counted_under_their_scope() -> None:
    group = _context().get_metrics_group()
    counter = group.add_group("my", "scope").counter("rows")
    counter.inc()
    counter.inc(4)
    counter.dec(2)
    group.meter("events").mark_event(7)
    distribution = group.distribution("sizes")
    for size in (3, 1, 2):
        distribution.update(size)
    group.gauge("constant", lambda: 11)
    values = group.values()
    assert values["Map.Map.my.scope.rows"].get_count() == 3
    assert values["Map.Map.events"].get_count() == 7
    assert (distribution.count, distribution.sum, distribution.minimum, distribution.maximum) == (3, 6, 1, 3)
    assert values["Map.Map.constant"]() == 11
    assert group.counter("again") is group.counter("again")
