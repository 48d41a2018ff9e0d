"""process() with and without keys: timers, state, side outputs, batch mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, Watermark
from shmflink.core.output_tag import OutputTag
from shmflink.core.types.typeinfo import Types
from shmflink.errors import UsageError, UserFunctionError
from shmflink.operators.base import SideOutput
from shmflink.operators.functions.co_process import CoMapOperator, KeyedCoProcessOperator
from shmflink.operators.functions.process import KeyedProcessOperator, ProcessOperator
from shmflink.operators.functions.record_outputs import OUTPUT_ROWS_MAX
from shmflink.state.descriptors import ListStateDescriptor, ValueStateDescriptor
from shmflink.testing.operator_harness import OperatorHarness


class Emit:
    """Emits (what, key, time of the context, watermark) for records and timers; registers the timers it is told to."""

    def open(self, context: Any) -> None:
        self.count = context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        _, *timers = value
        self.count.update((self.count.value() or 0) + 1)
        for timer in timers:
            ctx.timer_service().register_event_time_timer(timer)
        yield ("record", ctx.get_current_key(), ctx.timestamp(), self.count.value())

    def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
        yield ("timer", ctx.get_current_key(), ctx.timestamp(), self.count.value())
        assert ctx.time_domain().name == "EVENT_TIME"


def keyed(function: Any, **options: Any) -> OperatorHarness:
    operator = options.pop("operator", KeyedProcessOperator)
    return OperatorHarness(operator(function), key_selector=lambda row: row[0], **options)


def test_timers_fire_in_order_of_time_before_the_watermark_is_forwarded() -> None:
    with keyed(Emit()) as bench:
        bench.process_rows([("a", 30, 10), ("b", 20), ("a",)], timestamps=[1, 2, 3])
        assert bench.rows() == [("record", "a", 1, 1), ("record", "b", 2, 1), ("record", "a", 3, 2)]
        assert bench.timestamps() == [1, 2, 3]
        bench.clear()
        bench.process_watermark(25)
        assert bench.rows() == [("timer", "a", 10, 2), ("timer", "b", 20, 1)]
        assert bench.timestamps() == [10, 20]
        assert bench.elements[-1] == Watermark(25)
        bench.clear()
        bench.process_control(MAX_WATERMARK)
        assert bench.rows() == [("timer", "a", 30, 2)]


def test_a_timer_in_the_past_fires_at_the_next_watermark() -> None:
    with keyed(Emit()) as bench:
        bench.process_watermark(100)
        bench.process_rows([("a", 50)], timestamps=[120])
        assert [row[0] for row in bench.rows()] == ["record"]
        bench.process_watermark(101)
        assert [row[0] for row in bench.rows()] == ["record", "timer"]


def test_processing_time_timers_fire_by_the_clock() -> None:
    class Later:
        def process_element(self, value: Any, ctx: Any) -> None:
            now = ctx.timer_service().current_processing_time()
            for delay in value[1:]:
                ctx.timer_service().register_processing_time_timer(now + delay)
            ctx.timer_service().delete_processing_time_timer(now + 30)

        def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
            yield (ctx.get_current_key(), timestamp, ctx.time_domain().name)

    with keyed(Later()) as bench:
        bench.process_rows([("a", 50, 10, 30), ("b", 20)])
        bench.advance_processing_time_ms(40)
        assert bench.rows() == [("a", 10, "PROCESSING_TIME"), ("b", 20, "PROCESSING_TIME")]
        bench.advance_processing_time_ms(40)
        assert bench.rows()[2:] == [("a", 50, "PROCESSING_TIME")]


def test_side_outputs_keep_the_timestamp() -> None:
    late = OutputTag("late", Types.STRING())

    class Split:
        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield value
            yield late, str(value)

    with OperatorHarness(ProcessOperator(Split())) as bench:
        bench.process_rows([1, 2], timestamps=[10, 20])
        assert bench.rows() == [1, 2]
        assert bench.side_output("late") == ["1", "2"]
        (side,) = [e for e in bench.elements if isinstance(e, SideOutput)]
        assert side.batch.timestamps.to_pylist() == [10, 20]


def test_a_function_that_explodes_is_suspended_between_batches() -> None:
    class Explode:
        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield from range(value)

    with OperatorHarness(ProcessOperator(Explode())) as bench:
        outputs = bench.outputs_of(bench.batch([10**9]))
        assert next(outputs).num_rows == OUTPUT_ROWS_MAX
        outputs.close()


def test_a_slow_explosion_hands_on_what_a_moment_gives() -> None:
    class Explode:
        def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
            for number in range(value):
                bench.clock.advance_ms(10)
                yield number if number != 6 else (OutputTag("side", Types.LONG()), number)

    with OperatorHarness(ProcessOperator(Explode())) as bench:
        batches = [one for one in bench.outputs_of(bench.batch([12])) if isinstance(one, Batch)]
        assert [batch.rows() for batch in batches] == [[0, 1, 2, 3, 4], [5, 7, 8, 9], [10, 11]]


def test_results_of_slow_timers_leave_while_others_wait() -> None:
    class Slow:
        def process_element(self, value: Any, ctx: Any) -> None:
            ctx.timer_service().register_event_time_timer(5)

        def on_timer(self, timestamp: int, ctx: Any) -> Iterator[Any]:
            bench.clock.advance_ms(25)
            yield ctx.get_current_key()

    with OperatorHarness(KeyedProcessOperator(Slow()), key_selector=lambda value: value) as bench:
        bench.process_rows(list(range(10)))
        outputs = [one for one in bench.operator.process_control(Watermark(5)) if isinstance(one, Batch)]
        assert [row for batch in outputs for row in batch.rows()] == list(range(10))
        assert max(batch.num_rows for batch in outputs) <= 2


def test_without_keys_there_are_no_timers_and_no_state() -> None:
    class Timer:
        def process_element(self, value: Any, ctx: Any) -> None:
            ctx.timer_service().register_event_time_timer(1)

    refused = pytest.raises(UserFunctionError, match=r"'P'.*timers are only supported on a keyed stream")
    with OperatorHarness(ProcessOperator(Timer()), name="P") as bench, refused:
        bench.process_rows([1])
    with pytest.raises(UserFunctionError, match=r"get_state\('count'\): keyed state needs a keyed stream"):
        OperatorHarness(ProcessOperator(Emit())).open()
    assert issubclass(UserFunctionError, UsageError)


def test_batch_mode_sees_a_key_at_a_time_in_order_of_time_and_fires_its_timers_at_its_end() -> None:
    with keyed(Emit(), is_batch=True) as bench:
        bench.process_rows([("a", 30), ("b", 5), ("a", 10)], timestamps=[9, 4, 2])
        bench.process_rows([("a",)], timestamps=[1])
        assert bench.rows() == []
        bench.process_control(MAX_WATERMARK)
        bench.finish()
        assert bench.rows() == [
            ("record", "a", 1, 1),
            ("record", "a", 2, 2),
            ("record", "a", 9, 3),
            ("timer", "a", 10, 3),
            ("timer", "a", 30, 3),
            ("record", "b", 4, 1),
            ("timer", "b", 5, 1),
        ]


def test_two_inputs_share_state_and_each_row_knows_its_input() -> None:
    class Join:
        def open(self, context: Any) -> None:
            self.seen = context.get_list_state(ListStateDescriptor("seen", Types.PICKLED_BYTE_ARRAY()))

        def process_element1(self, value: Any, ctx: Any) -> None:
            self.seen.add(value[1])

        def process_element2(self, value: Any, ctx: Any) -> Iterator[Any]:
            yield (value, self.seen.get())

    with keyed(Join(), operator=KeyedCoProcessOperator) as bench:
        bench.process_batch(bench.batch([("a", 1), ("b", 2)]), 0)
        bench.process_batch(bench.batch([("a", "x"), ("c", "y")]), 1)
        assert bench.rows() == [(("a", "x"), [1]), (("c", "y"), [])]


def test_co_map_gives_one_element_for_each_and_nothing_for_none() -> None:
    class Both:
        def map1(self, value: int) -> int:
            return value + 1

        def map2(self, value: str) -> None:
            return None

    with OperatorHarness(CoMapOperator(Both())) as bench:
        bench.process_batch(bench.batch([1, 2]), 0)
        bench.process_batch(bench.batch(["x"]), 1)
        assert bench.rows() == [2, 3]


def test_the_failing_record_and_the_failing_timer_are_named() -> None:
    class Fails:
        def process_element(self, value: Any, ctx: Any) -> None:
            ctx.timer_service().register_event_time_timer(5)
            if value[1] == 2:
                raise ValueError("two")

        def on_timer(self, timestamp: int, ctx: Any) -> None:
            raise KeyError("timer")

    with keyed(Fails()) as bench:
        with pytest.raises(UserFunctionError, match=r"two\nrecord: \('b', 2\)"):
            bench.process_rows([("a", 1), ("b", 2), ("c", 3)])
        with pytest.raises(UserFunctionError, match=r"on_timer\(\) of key 'a'"):
            bench.process_watermark(10)
