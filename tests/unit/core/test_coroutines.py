"""`async def` in place of a per-record function: an error at the call, with the remedy."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from shmflink.common import Types, WatermarkStrategy
from shmflink.common.time import Time
from shmflink.core.coroutines import refuse_coroutines
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.datastream.functions import (
    AggregateFunction,
    BroadcastProcessFunction,
    CoMapFunction,
    CoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    ProcessWindowFunction,
)
from shmflink.datastream.state import MapStateDescriptor, ReducingStateDescriptor
from shmflink.datastream.window import CountTrigger, EventTimeSessionWindows, TumblingProcessingTimeWindows
from shmflink.errors import UsageError

REMEDY = r"defined with `async def`.*Define it with `def`, or give an AsyncFunction"


async def look_up(*_: Any) -> int:
    return 1


async def many(_value: Any) -> Any:
    yield 1


class Called:
    async def __call__(self, value: Any) -> Any:
        return value


class Mapped(MapFunction):
    async def map(self, value: Any) -> Any:  # type: ignore[override]
        return value


class Opened(MapFunction):
    async def open(self, runtime_context: Any) -> None:  # type: ignore[override]
        """Never awaited."""

    def map(self, value: Any) -> Any:
        return value


class OnTimer(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield value

    async def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield timestamp


class Second(CoMapFunction):
    def map1(self, value: Any) -> Any:
        return value

    async def map2(self, value: Any) -> Any:
        return value


class SecondElement(CoProcessFunction):
    def process_element1(self, value: Any, ctx: Any) -> Any:
        yield value

    async def process_element2(self, value: Any, ctx: Any) -> Any:
        yield value


class Broadcast(BroadcastProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield value

    async def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
        yield value


class Window(ProcessWindowFunction):
    async def process(self, key: Any, context: Any, elements: Any) -> Any:
        yield key


class Aggregate(AggregateFunction):
    def create_accumulator(self) -> Any:
        return 0

    async def add(self, value: Any, accumulator: Any) -> Any:
        return accumulator + value

    def get_result(self, accumulator: Any) -> Any:
        return accumulator

    def merge(self, acc_a: Any, acc_b: Any) -> Any:
        return acc_a + acc_b


class Trigger(CountTrigger):
    async def on_element(self, element: Any, timestamp: int, window: Any, ctx: Any) -> Any:  # type: ignore[override]
        return None


class OwnHelpers(MapFunction):
    """Methods of the user's own may be coroutines: it is the user who runs them."""

    async def process(self, value: Any) -> int:
        await asyncio.sleep(0)
        return int(value) + 1

    def map(self, value: Any) -> Any:
        return asyncio.run(self.process(value))


def _windows(stream: Any) -> Any:
    return stream.key_by(lambda v: v).window(TumblingProcessingTimeWindows.of(Time.seconds(1)))


GIVEN = {
    "map": lambda s: s.map(look_up),
    "flat_map": lambda s: s.flat_map(many),
    "filter": lambda s: s.filter(look_up),
    "key_by": lambda s: s.key_by(look_up),
    "keyed map": lambda s: s.key_by(lambda v: v).map(Mapped()),
    "map_batches": lambda s: s.map_batches(look_up),
    "partition_custom": lambda s: s.partition_custom(look_up, lambda v: v),
    "reduce": lambda s: s.key_by(lambda v: v).reduce(look_up),
    "a partial": lambda s: s.map(partial(look_up, 1)),
    "a callable object": lambda s: s.map(Called()),
    "MapFunction.map": lambda s: s.map(Mapped()),
    "MapFunction.open": lambda s: s.map(Opened()),
    "on_timer": lambda s: s.key_by(lambda v: v).process(OnTimer()),
    "map2": lambda s: s.connect(s).map(Second()),
    "process_element2": lambda s: s.connect(s).process(SecondElement()),
    "process_broadcast_element": lambda s: s.connect(
        s.broadcast(MapStateDescriptor("b", Types.INT(), Types.INT()))
    ).process(Broadcast()),
    "window process": lambda s: _windows(s).process(Window()),
    "window aggregate": lambda s: _windows(s).aggregate(Aggregate()),
    "window reduce": lambda s: _windows(s).reduce(look_up),
    "trigger": lambda s: _windows(s).trigger(Trigger(1)),
    "dynamic gap": lambda _: EventTimeSessionWindows.with_dynamic_gap(look_up),
    "timestamp assigner": lambda _: WatermarkStrategy.no_watermarks().with_timestamp_assigner(look_up),
    "reducing state": lambda _: ReducingStateDescriptor("r", look_up, Types.INT()),
    "generate": lambda s: s.get_execution_environment().generate(look_up, 3, schema=Types.INT()),
}


@pytest.mark.parametrize("place", GIVEN)
def test_a_coroutine_function_is_refused_where_it_is_given(place):
    stream = StreamExecutionEnvironment.get_execution_environment().from_collection([1, 2])
    with pytest.raises(UsageError, match=REMEDY):
        GIVEN[place](stream)


def test_the_message_names_the_function_and_its_place():
    with pytest.raises(UsageError, match=r"^look_up\(\) \(.*test_coroutines\.py:\d+\) is defined with"):
        refuse_coroutines(look_up)
    with pytest.raises(UsageError, match=r"^Second\.map2\(\) is defined with"):
        refuse_coroutines(Second())


def test_helpers_of_the_users_own_may_be_coroutines():
    refuse_coroutines(OwnHelpers())
    assert OwnHelpers().map(1) == 2
