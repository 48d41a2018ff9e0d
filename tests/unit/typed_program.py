"""A program with all its types written out, as its author would: checked by `test_typing.py`, and run there."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, assert_type

import polars as pl

from shmflink.common import (
    CompletableFuture,
    Configuration,
    Duration,
    JobClient,
    JobExecutionResult,
    JobStatus,
    Row,
    SimpleStringSchema,
    Time,
    Types,
    WatermarkStrategy,
)
from shmflink.common.watermark_strategy import TimestampAssigner
from shmflink.datastream import (
    AggregateFunction,
    AllWindowedStream,
    BroadcastConnectedStream,
    BroadcastProcessFunction,
    BroadcastStream,
    CoMapFunction,
    ConnectedStreams,
    DataStream,
    DataStreamSink,
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    KeyedStream,
    MapFunction,
    OutputTag,
    ProcessFunction,
    ProcessWindowFunction,
    ReduceFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    WindowedStream,
)
from shmflink.datastream.state import (
    AggregatingState,
    BroadcastState,
    ListState,
    ListStateDescriptor,
    MapState,
    MapStateDescriptor,
    ReducingState,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueState,
    ValueStateDescriptor,
)
from shmflink.datastream.window import GlobalWindows, TimeWindow, Trigger, TriggerResult, TumblingEventTimeWindows
from shmflink.testing import MiniCluster, OperatorHarness

Reading = tuple[str, int, float]  # sensor, time in ms, value
HOT = OutputTag("hot", Types.STRING())
RULES = MapStateDescriptor("rules", Types.STRING(), Types.FLOAT())


class TimeOfReading(TimestampAssigner):
    def extract_timestamp(self, value: Reading, record_timestamp: int) -> int:
        return value[1]


class Average(AggregateFunction):
    def create_accumulator(self) -> tuple[int, float]:
        return 0, 0.0

    def add(self, value: Reading, accumulator: tuple[int, float]) -> tuple[int, float]:
        return accumulator[0] + 1, accumulator[1] + value[2]

    def get_result(self, accumulator: tuple[int, float]) -> float:
        return accumulator[1] / accumulator[0]

    def merge(self, acc_a: tuple[int, float], acc_b: tuple[int, float]) -> tuple[int, float]:
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class Watch(KeyedProcessFunction):
    """Every kind of keyed state, timers of both kinds and a side output."""

    def open(self, runtime_context: RuntimeContext) -> None:
        ttl = StateTtlConfig.new_builder(Time.hours(1)).build()
        descriptor = ValueStateDescriptor("last", Types.FLOAT())
        descriptor.enable_time_to_live(ttl)
        self.last: ValueState[float] = runtime_context.get_state(descriptor)
        self.seen: ListState[float] = runtime_context.get_list_state(ListStateDescriptor("seen", Types.FLOAT()))
        self.counts: MapState[str, int] = runtime_context.get_map_state(
            MapStateDescriptor("counts", Types.STRING(), Types.LONG())
        )
        self.highest: ReducingState[float] = runtime_context.get_reducing_state(
            ReducingStateDescriptor("highest", max, Types.FLOAT())
        )
        self.subtask: int = runtime_context.get_index_of_this_subtask()

    def process_element(
        self, value: Reading, ctx: KeyedProcessFunction.Context
    ) -> Iterator[Row | tuple[OutputTag, str]]:
        sensor, _, degrees = value
        before = self.last.value()
        self.last.update(degrees)
        self.seen.add(degrees)
        self.counts.put("all", (self.counts.get("all") or 0) + 1)
        self.highest.add(degrees)
        service = ctx.timer_service()
        service.register_event_time_timer(ctx.timestamp() + 1000)
        service.delete_event_time_timer(service.current_watermark())
        if degrees > 30:
            yield HOT, sensor
        yield Row(sensor, degrees - (before if before is not None else degrees))

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        if ctx.time_domain().name == "EVENT_TIME" and timestamp < 2500:
            yield Row(ctx.get_current_key(), sum(self.seen.get()))


class Highest(ProcessWindowFunction[Reading, Row, str, TimeWindow]):
    def process(
        self, key: str, context: ProcessWindowFunction.Context[TimeWindow], elements: Iterable[Reading]
    ) -> Iterator[Row]:
        yield Row(key, context.window().start, max(degrees for _, _, degrees in elements))


class AtTheEnd(Trigger[Reading, TimeWindow]):
    def on_element(
        self, element: Reading, timestamp: int, window: TimeWindow, ctx: Trigger.TriggerContext
    ) -> TriggerResult:
        ctx.register_event_time_timer(window.max_timestamp())
        return TriggerResult.CONTINUE

    def on_event_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        return TriggerResult.FIRE_AND_PURGE

    def on_processing_time(self, time: int, window: TimeWindow, ctx: Trigger.TriggerContext) -> TriggerResult:
        return TriggerResult.CONTINUE

    def on_merge(self, window: TimeWindow, ctx: Trigger.OnMergeContext) -> None:
        ctx.register_event_time_timer(window.max_timestamp())

    def clear(self, window: TimeWindow, ctx: Trigger.TriggerContext) -> None:
        ctx.delete_event_time_timer(window.max_timestamp())


class Words(FlatMapFunction):
    def flat_map(self, value: str) -> Iterator[str]:
        yield from value.split()


class Shout(MapFunction):
    def map(self, value: str) -> str:
        return value.upper()


class Short(FilterFunction):
    def filter(self, value: str) -> bool:
        return len(value) < 5


class Longer(ReduceFunction):
    def reduce(self, value1: str, value2: str) -> str:
        return max(value1, value2, key=len)


class Merge(CoMapFunction):
    def map1(self, value: str) -> str:
        return value

    def map2(self, value: int) -> str:
        return str(value)


class Limit(BroadcastProcessFunction):
    def process_element(self, value: Reading, ctx: BroadcastProcessFunction.ReadOnlyContext) -> Iterator[Reading]:
        if value[2] < (ctx.get_broadcast_state(RULES).get("limit") or 100.0):
            yield value

    def process_broadcast_element(self, value: float, ctx: BroadcastProcessFunction.Context) -> None:
        ctx.get_broadcast_state(RULES).put("limit", value)


class Tag(ProcessFunction):
    def process_element(self, value: str, ctx: ProcessFunction.Context) -> Iterator[tuple[str, int]]:
        yield value, ctx.timer_service().current_processing_time()


def sensors(env: StreamExecutionEnvironment) -> tuple[list[Row], list[str], list[Row]]:
    """What Watch emits, its side output, and the highest value of each window."""
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1))
    readings: list[Reading] = [("a", 1, 20.0), ("b", 2, 40.0), ("a", 1500, 25.0)]
    timed: DataStream = env.from_collection(readings).assign_timestamps_and_watermarks(
        strategy.with_timestamp_assigner(TimeOfReading())
    )
    keyed: KeyedStream = timed.key_by(lambda reading: reading[0], key_type=Types.STRING())
    watched = keyed.process(Watch(), Types.ROW([Types.STRING(), Types.FLOAT()])).name("watch").uid("watch")
    windows = keyed.window(TumblingEventTimeWindows.of(Time.seconds(1))).trigger(AtTheEnd()).process(Highest())
    hot = watched.get_side_output(HOT)
    with watched.execute_and_collect("watch") as rows:
        changes = sorted(rows, key=str)
    return changes, list(hot.execute_and_collect()), list(windows.execute_and_collect())


def words(env: StreamExecutionEnvironment) -> list[str]:
    """Functions without keys, with keys, and of two streams."""
    lines = env.from_collection(["to be or", "not"], Types.STRING())
    longest = lines.flat_map(Words()).filter(Short()).map(Shout(), Types.STRING()).key_by(len).reduce(Longer())
    merged = longest.connect(env.from_collection([1])).map(Merge(), Types.STRING())
    merged.process(Tag()).print()
    return [str(word) for word in merged.execute_and_collect(limit=10)]


def stream_types(env: StreamExecutionEnvironment) -> None:
    """What a type checker knows of streams."""
    numbers = env.from_collection([1, 2])
    keyed = numbers.key_by(lambda number: number)
    assert_type(numbers.get_execution_environment(), StreamExecutionEnvironment)
    assert_type(env.set_parallelism(1), StreamExecutionEnvironment)
    assert_type(numbers.map(str).name("texts").uid("texts"), DataStream)
    assert_type(keyed, KeyedStream)
    assert_type(keyed.map(str), DataStream)
    assert_type(numbers.broadcast(), DataStream)
    assert_type(numbers.broadcast(RULES), BroadcastStream)
    assert_type(numbers.connect(numbers), ConnectedStreams)
    assert_type(keyed.connect(numbers.broadcast(RULES)), BroadcastConnectedStream)
    assert_type(numbers.connect(numbers).map(Merge()), DataStream)
    assert_type(keyed.count_window(2), WindowedStream)
    assert_type(keyed.count_window(2).reduce(max), DataStream)
    assert_type(numbers.window_all(GlobalWindows.create()), AllWindowedStream)
    assert_type(numbers.print().name("out"), DataStreamSink)
    assert_type(numbers.execute_and_collect(limit=1), list[Any])
    assert_type(numbers.to_polars(), pl.DataFrame)


def result_types(env: StreamExecutionEnvironment, client: JobClient) -> None:
    """What a type checker knows of results."""
    assert_type(env.execute(), JobExecutionResult)
    assert_type(client.get_job_execution_result(), CompletableFuture[JobExecutionResult])
    assert_type(client.get_job_execution_result().result(), JobExecutionResult)
    assert_type(client.get_job_status().result(), JobStatus)
    assert_type(client.trigger_savepoint().result(), str)
    assert_type(client.cancel().result(), None)
    assert_type(CompletableFuture.completed(1).result(), int)
    with env.from_collection([1]).execute_and_collect() as rows:
        assert_type(next(rows), Any)


def state_types(context: RuntimeContext, averages: AggregatingState[Reading, float]) -> None:
    """What a type checker knows of states."""
    last: ValueState[int] = context.get_state(ValueStateDescriptor("n", Types.INT()))
    assert_type(last.value(), int | None)
    assert_type(averages.get(), float | None)
    last.update(1)
    reducing = ReducingStateDescriptor("highest", max, Types.INT())
    assert_type(context.get_reducing_state(reducing), ReducingState[Any])
    assert_type(context.get_map_state(MapStateDescriptor("m", Types.INT(), Types.INT())), MapState[Any, Any])


def trigger_states(ctx: Trigger.TriggerContext, rules: BroadcastState[str, float]) -> None:
    """The class of a state comes of its descriptor."""
    assert_type(ctx.get_partitioned_state(ValueStateDescriptor("n", Types.INT())), ValueState[Any])
    assert_type(ctx.get_partitioned_state(ListStateDescriptor("l", Types.INT())), ListState[Any])
    assert_type(rules.get("limit"), float | None)
    rules.put("limit", 1.0)


def function_types(shout: MapFunction[str, int], average: AggregateFunction[Reading, tuple[int, float], float]) -> None:
    """Functions may name their types, as in PyFlink."""
    assert_type(shout.map("a"), int)
    assert_type(average.get_result(average.create_accumulator()), float)
    assert_type(Average().merge((1, 1.0), (1, 1.0)), tuple[int, float])
    assert_type(SimpleStringSchema().deserialize(b""), str)


def main() -> int:
    """All of it, inline."""
    configuration = Configuration().set_string("pipeline.name", "typed").set_integer("parallelism.default", 1)
    with MiniCluster(slots=1):
        env = StreamExecutionEnvironment.get_execution_environment(configuration)
        env.set_parallelism(1).enable_checkpointing(1000)
        found = sensors(env), words(env)
    with OperatorHarness.of(Watch(), key_selector=lambda reading: reading[0]) as harness:
        harness.process_rows([("a", 1, 20.0)], timestamps=[1])
        print(found, harness.rows())
    return 0


if __name__ == "__main__":
    sys.exit(main())
