"""A stream with a broadcast stream: rules that change for all keys at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK
from shmflink.core.types.typeinfo import Types
from shmflink.errors import UserFunctionError
from shmflink.operators.functions.broadcast_process import BroadcastProcessOperator, KeyedBroadcastProcessOperator
from shmflink.state.descriptors import MapStateDescriptor, ValueStateDescriptor
from shmflink.testing.operator_harness import OperatorHarness

RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())


class Threshold:
    """Emits values above the threshold, with how many of their key there were."""

    def open(self, context: Any) -> None:
        self.count = context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        self.count.update((self.count.value() or 0) + 1)
        if value[1] > (ctx.get_broadcast_state(RULES).get("above") or 0):
            yield (*value, self.count.value())
        ctx.timer_service().register_event_time_timer(100)

    def process_broadcast_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        ctx.get_broadcast_state(RULES).put("above", value)
        yield f"above {value}"

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield ("end", ctx.get_current_key(), list(ctx.get_broadcast_state(RULES).items()))


def keyed(function: Any, **options: Any) -> OperatorHarness:
    return OperatorHarness(KeyedBroadcastProcessOperator(function, [RULES]), key_selector=lambda row: row[0], **options)


def broadcast(bench: OperatorHarness, *values: Any) -> None:
    bench.process_batch(Batch.of_rows(list(values)), 1)


def test_rules_hold_for_all_keys_from_when_they_come() -> None:
    with keyed(Threshold()) as bench:
        bench.process_rows([("a", 1), ("b", 2)])
        broadcast(bench, 1)
        bench.process_rows([("a", 1), ("b", 3)])
        assert bench.rows() == [("a", 1, 1), ("b", 2, 1), "above 1", ("b", 3, 2)]
        bench.clear()
        bench.process_watermark(100)
        assert bench.rows() == [("end", "a", [("above", 1)]), ("end", "b", [("above", 1)])]


def test_the_other_side_can_only_read() -> None:
    class Writes(Threshold):
        def process_element(self, value: Any, ctx: Any) -> None:
            ctx.get_broadcast_state(RULES).clear()

    with keyed(Writes()) as bench, pytest.raises(UserFunctionError, match="process_broadcast_element"):
        bench.process_rows([("a", 1)])


def test_the_broadcast_side_has_no_timers_and_no_unknown_state() -> None:
    class Timer(Threshold):
        def process_broadcast_element(self, value: Any, ctx: Any) -> None:
            ctx.timer_service().register_event_time_timer(1)

    class Unknown(Threshold):
        def process_broadcast_element(self, value: Any, ctx: Any) -> None:
            ctx.get_broadcast_state(MapStateDescriptor("other", Types.STRING(), Types.LONG()))

    for function, message in ((Timer(), "timers are only"), (Unknown(), r"was not given to broadcast\(\)")):
        with keyed(function) as bench, pytest.raises(UserFunctionError, match=message):
            broadcast(bench, 1)


def test_the_broadcast_side_has_no_key_and_no_keyed_state() -> None:
    class State(Threshold):
        def process_broadcast_element(self, value: Any, ctx: Any) -> None:
            self.count.value()

    class Key(Threshold):
        def process_broadcast_element(self, value: Any, ctx: Any) -> None:
            ctx.get_current_key()

    class Opens(Threshold):
        def open(self, context: Any) -> None:
            super().open(context)
            self.count.update(1)

    for function, message in ((State(), "there is none here"), (Key(), "no key: its stream")):
        with keyed(function) as bench:
            bench.process_rows([("a", 1)])
            with pytest.raises(UserFunctionError, match=message):
                broadcast(bench, 1)
    with pytest.raises(UserFunctionError, match=r"failed in open\(\).*there is none here"):
        keyed(Opens()).open()


@pytest.mark.parametrize("is_keyed", [True, False])
def test_batch_mode_takes_the_broadcast_input_first(is_keyed: bool) -> None:
    class Plain:
        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield value[1] + ctx.get_broadcast_state(RULES).get("add")

        def process_broadcast_element(self, value: Any, ctx: Any) -> None:
            ctx.get_broadcast_state(RULES)["add"] = value

    operator = (KeyedBroadcastProcessOperator if is_keyed else BroadcastProcessOperator)(Plain(), [RULES])
    selector = (lambda row: row[0]) if is_keyed else None
    with OperatorHarness(operator, key_selector=selector, is_batch=True) as bench:
        bench.process_rows([("a", 1), ("b", 2)])
        broadcast(bench, 10)
        bench.process_control(MAX_WATERMARK)
        bench.finish()
        assert bench.rows() == [11, 12]
