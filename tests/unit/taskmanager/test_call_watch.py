"""A call that does not return is reported: operator, time, file, line, function and stack."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from oracle.workbench import Workbench

from shmflink.core.batch import Batch
from shmflink.network.local import LocalDoorbell
from shmflink.operators.functions.map import MapOperator
from shmflink.operators.functions.process import ProcessOperator
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.taskmanager.call_watch import CallWatch
from shmflink.taskmanager.slot import Slot

WATCHDOG_S = 60


class Hangs:
    """A function that waits until the test lets it go."""

    def __init__(self) -> None:
        self.is_in = threading.Event()
        self.may_go = threading.Event()

    def enrich(self, value: Any) -> Any:
        self.is_in.set()
        assert self.may_go.wait(WATCHDOG_S)
        return value

    def process_element(self, value: Any, ctx: Any) -> Any:
        yield self.enrich(value)


OPERATORS = {
    "map": lambda hangs: MapOperator(hangs.enrich),
    "process": ProcessOperator,
    "key selector": lambda hangs: KeyExtractor(lambda value: hangs.enrich(value)),
}


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_a_call_that_hangs_is_named_with_its_time_and_stack(bench: Workbench, name):
    hangs = Hangs()
    (channel,), gate = bench.gate()
    hanging = bench.node(OPERATORS[name](hangs))
    task = bench.task(bench.node(MapOperator(lambda value: value), hanging), [gate], vertex=3)
    hanging.context.operator_name = "enrich"
    slot = Slot(0, LocalDoorbell(), bench.clock)
    channel.try_push(Batch.of_rows([1]))
    slot.add_task(task)
    thread = threading.Thread(target=slot.run, daemon=True)
    thread.start()
    try:
        assert hangs.is_in.wait(WATCHDOG_S)
        watch = CallWatch([(slot, thread)], lambda call: None)
        assert watch.look(bench.clock) == []
        bench.clock.advance_ms(2_000)
        assert watch.look(bench.clock) == []
        bench.clock.advance_ms(32_000)
        (call,) = watch.look(bench.clock)
    finally:
        hangs.may_go.set()
        slot.shutdown()
        thread.join(WATCHDOG_S)
    assert (call.subtask, call.seconds) == (task.deployment.subtask, 34.0)
    assert call.place.operator == "enrich"
    assert call.place.is_users
    line = Hangs.enrich.__code__.co_firstlineno + 2
    assert call.place.line == f"test_call_watch.py:{line} in enrich"
    assert "assert self.may_go.wait(WATCHDOG_S)" in call.place.stack
    assert "shmflink/operators" not in call.place.stack
    assert watch.look(bench.clock) == []
