"""Records are values: changes that a function makes to an object it has emitted or received are invisible to others.

The right results are those of a real Flink cluster. Each job runs with both kinds of channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shmflink.common import Row, Types, WatermarkStrategy
from shmflink.connectors.generator import GeneratorSource
from shmflink.datastream import (
    AggregateFunction,
    BroadcastProcessFunction,
    CoMapFunction,
    CoProcessFunction,
    DataStream,
    FilterFunction,
    FlatMapFunction,
    KeyedProcessFunction,
    MapFunction,
    OutputTag,
    ProcessFunction,
    ProcessWindowFunction,
    StreamExecutionEnvironment,
)
from shmflink.datastream.state import MapStateDescriptor
from shmflink.testing import Channels, MiniCluster

SIDE = OutputTag("side")


@pytest.fixture(params=list(Channels))
def env(request: pytest.FixtureRequest) -> Iterator[StreamExecutionEnvironment]:
    with MiniCluster(slots=2, channels=request.param):
        environment = StreamExecutionEnvironment.get_execution_environment()
        environment.set_parallelism(1)
        yield environment


def collected(stream: DataStream) -> list[Any]:
    with stream.execute_and_collect() as rows:
        return sorted(rows, key=repr)


class Running:
    """Updates one object and hands it out again."""

    def open(self, runtime_context: Any) -> None:
        self.summary = {"last": 0, "all": []}

    def update(self, value: Any) -> Any:
        self.summary["last"] = value
        self.summary["all"].append(value)
        return self.summary


class RunningMap(Running, MapFunction):
    def map(self, value: Any) -> Any:
        return self.update(value)


class RunningFlatMap(Running, FlatMapFunction):
    def flat_map(self, value: Any) -> Any:
        yield self.update(value)


class RunningList(Running, FlatMapFunction):
    def flat_map(self, value: Any) -> Any:
        return [self.update(value)]


class RunningProcess(Running, ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield self.update(value)


class RunningTuple(Running, ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield (self.update(value)["last"], self.summary)


class RunningKeyed(Running, KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield self.update(value)


class RunningCoMap(Running, CoMapFunction):
    def map1(self, value: Any) -> Any:
        return self.update(value)

    def map2(self, value: Any) -> Any:
        return None


class RunningCoProcess(Running, CoProcessFunction):
    def process_element1(self, value: Any, ctx: Any) -> Any:
        yield self.update(value)

    def process_element2(self, value: Any, ctx: Any) -> Any:
        return None


class RunningTimer(Running, KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        ctx.timer_service().register_event_time_timer(value)

    def on_timer(self, timestamp: int, ctx: Any) -> Any:
        yield self.update(timestamp)


STREAMS: dict[str, Callable[[DataStream], DataStream]] = {
    "map": lambda s: s.map(RunningMap()),
    "flat_map that yields": lambda s: s.flat_map(RunningFlatMap()),
    "flat_map that returns a list": lambda s: s.flat_map(RunningList()),
    "process": lambda s: s.process(RunningProcess()),
    "within a tuple": lambda s: s.process(RunningTuple()).map(lambda pair: pair[1]),
    "keyed process": lambda s: s.key_by(lambda v: 0).process(RunningKeyed()),
    "co-map": lambda s: s.connect(s).map(RunningCoMap()),
    "co-process": lambda s: s.connect(s).process(RunningCoProcess()),
    "timers": lambda s: s.key_by(lambda v: 0).process(RunningTimer()),
    "rebalance": lambda s: s.map(RunningMap()).rebalance().map(lambda d: d),
    "filter behind": lambda s: s.map(RunningMap()).filter(lambda d: True),
}


@pytest.mark.parametrize("make", STREAMS.values(), ids=STREAMS)
def test_an_object_that_is_updated_and_emitted_again(
    env: StreamExecutionEnvironment, make: Callable[[DataStream], DataStream]
) -> None:
    stream = make(env.from_collection([1, 2, 3]))
    got = collected(stream.map(lambda d: (d["last"], list(d["all"]))))
    assert got == [(1, [1]), (2, [1, 2]), (3, [1, 2, 3])]


def test_rows_of_a_declared_type_that_are_updated_and_emitted_again(env: StreamExecutionEnvironment) -> None:
    class Same(MapFunction):
        def open(self, runtime_context: Any) -> None:
            self.row = Row(a=0, b=[])

        def map(self, value: Any) -> Any:
            self.row["a"] = value
            self.row["b"].append(value)
            return self.row

    declared = Types.ROW_NAMED(["a", "b"], [Types.LONG(), Types.LIST(Types.LONG())])
    got = collected(env.from_collection([1, 2]).map(Same(), declared))
    assert got == [Row(a=1, b=[1]), Row(a=2, b=[1, 2])]


class Record:
    """A user's own class."""

    def __init__(self, v: int) -> None:
        self.v = v


def test_objects_of_a_users_class(env: StreamExecutionEnvironment) -> None:
    class Same(MapFunction):
        def open(self, runtime_context: Any) -> None:
            self.record = Record(0)

        def map(self, value: Any) -> Any:
            self.record.v += value
            return self.record

    assert collected(env.from_collection([1, 2, 3]).map(Same()).map(lambda r: r.v)) == [1, 3, 6]


def add_100(record: dict[str, int]) -> dict[str, int]:
    record["v"] += 100
    return record


def test_branches_that_change_the_record_that_others_get_too(env: StreamExecutionEnvironment) -> None:
    records = env.from_collection([{"v": 1}, {"v": 2}]).map(lambda d: d)
    changed = [records.map(add_100).map(lambda d: ("changed", d["v"])) for _ in range(2)]
    untouched = records.map(lambda d: ("orig", d["v"]))
    got = collected(changed[0].union(untouched, changed[1]))
    assert got == [*[("changed", 101)] * 2, *[("changed", 102)] * 2, ("orig", 1), ("orig", 2)]


def test_branches_of_columns_that_become_rows(env: StreamExecutionEnvironment) -> None:
    declared = Types.ROW_NAMED(["v"], [Types.LONG()])
    records = env.from_collection([Row(v=1)], declared)
    changed = records.map(add_100, declared).map(lambda r: ("changed", r["v"]))
    assert collected(changed.union(records.map(lambda r: ("orig", r["v"])))) == [("changed", 101), ("orig", 1)]


def test_a_stream_united_with_itself(env: StreamExecutionEnvironment) -> None:
    records = env.from_collection([{"v": 1}]).map(lambda d: d)
    assert collected(records.union(records).map(add_100).map(lambda d: d["v"])) == [101, 101]


def test_a_broadcast_reaches_every_subtask_by_value(env: StreamExecutionEnvironment) -> None:
    records = env.from_collection([{"v": 1}]).broadcast().map(add_100).set_parallelism(2)
    assert collected(records.map(lambda d: d["v"]).set_parallelism(2)) == [101, 101]


def test_a_broadcast_element_that_is_changed_and_kept(env: StreamExecutionEnvironment) -> None:
    descriptor = MapStateDescriptor("rules", Types.STRING(), Types.PICKLED_BYTE_ARRAY())

    class Rules(BroadcastProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            return None

        def process_broadcast_element(self, value: Any, ctx: Any) -> Any:
            ctx.get_broadcast_state(descriptor).put("rule", value)
            yield value
            value["v"] += 100
            yield value

    rules = env.from_collection([{"v": 1}]).map(lambda d: d)
    stream = env.from_collection([0]).connect(rules.broadcast(descriptor)).process(Rules())
    assert collected(stream.map(lambda d: d["v"])) == [1, 101]


def test_a_side_output_before_a_change(env: StreamExecutionEnvironment) -> None:
    class Audit(ProcessFunction):
        def process_element(self, value: Any, ctx: Any) -> Any:
            yield SIDE, value
            value["v"] += 100
            yield value

    main = env.from_collection([{"v": 1}]).process(Audit())
    side = main.get_side_output(SIDE).map(lambda d: ("side", d["v"]))
    assert collected(main.map(lambda d: ("main", d["v"])).union(side)) == [("main", 101), ("side", 1)]


def test_a_record_that_a_filter_keeps_and_changes_later(env: StreamExecutionEnvironment) -> None:
    class Late(FilterFunction):
        def open(self, runtime_context: Any) -> None:
            self.before: dict[str, int] = {}

        def filter(self, value: Any) -> bool:
            self.before["v"] = -1
            self.before = value
            return True

    records = env.from_collection([{"v": 1}, {"v": 2}]).map(lambda d: d)
    assert collected(records.filter(Late()).map(lambda d: d["v"])) == [1, 2]


def test_one_object_twice_in_a_collection_is_two_records(env: StreamExecutionEnvironment) -> None:
    same = {"v": 1}
    assert collected(env.from_collection([same, same]).map(add_100).map(lambda d: d["v"])) == [101, 101]


KEPT = [{"v": 1}, {"v": 2}]


def test_a_generator_that_keeps_what_it_made(env: StreamExecutionEnvironment) -> None:
    source = GeneratorSource(lambda start, stop: [KEPT[i % 2] for i in range(start, stop)], 4, batch_rows=2)
    records = env.from_source(source, WatermarkStrategy.no_watermarks(), "kept")
    assert collected(records.map(add_100).map(lambda d: d["v"])) == [101, 101, 102, 102]


def test_a_reduced_value_that_is_changed_downstream(env: StreamExecutionEnvironment) -> None:
    def add(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
        return {"v": left["v"] + right["v"]}

    def add_in_place(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
        if left["v"] == 1:
            return {"v": left["v"] + right["v"]}
        left["v"] += right["v"]
        return left

    records = env.from_collection([{"v": 1}, {"v": 2}, {"v": 3}]).map(lambda d: d).key_by(lambda d: 0)
    for function in (add, add_in_place):
        assert collected(records.reduce(function).map(add_100).map(lambda d: d["v"])) == [101, 103, 106]


def test_the_record_that_max_by_keeps_is_changed_downstream(env: StreamExecutionEnvironment) -> None:
    records = env.from_collection([Row(k=0, v=3), Row(k=0, v=1)]).map(lambda r: r).key_by(lambda r: r["k"])

    def change(row: Row) -> int:
        row["v"] += 100
        return int(row["v"])

    assert collected(records.max_by("v").map(change)) == [103, 103]


class Collect(AggregateFunction):
    def create_accumulator(self) -> list[Any]:
        return []

    def add(self, value: Any, accumulator: list[Any]) -> list[Any]:
        accumulator.append(value)
        return accumulator

    def get_result(self, accumulator: list[Any]) -> list[Any]:
        return accumulator

    def merge(self, a: list[Any], b: list[Any]) -> list[Any]:
        return a + b


def test_elements_of_windows_and_their_results(env: StreamExecutionEnvironment) -> None:
    class Change(ProcessWindowFunction):
        def process(self, key: Any, context: Any, elements: Any) -> Any:
            for element in elements:
                element["v"] += 100
                yield element
                element["v"] += 1000

        def clear(self, context: Any) -> None:
            """Nothing to clear."""

    records = env.from_collection([{"v": 1}, {"v": 2}, {"v": 3}]).map(lambda d: d).key_by(lambda d: 0)
    windows = records.count_window(2, 1)
    assert collected(windows.process(Change()).map(lambda d: d["v"])) == [101, 102, 102, 103]
    results = windows.aggregate(Collect()).map(lambda ds: [d["v"] for d in ds])
    assert collected(results) == [[1, 2], [2, 3]]


def test_object_reuse_takes_objects_as_they_are() -> None:
    with MiniCluster(slots=2, configuration={"pipeline.object-reuse": "true"}):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(1)
        assert len(set(collected(env.from_collection([1, 2, 3]).map(RunningMap()).map(id)))) == 1
        assert len(set(collected(env.from_collection([1, 2, 3]).flat_map(RunningFlatMap()).map(id)))) == 1
        assert len(set(collected(env.from_collection([1, 2, 3]).process(RunningProcess()).map(id)))) == 1
        records = env.from_collection([{"v": 1}]).map(lambda d: d)
        both = records.map(add_100).union(records.map(lambda d: d))
        assert collected(both.map(lambda d: d["v"])) == [101, 101]


def test_object_reuse_is_what_the_environment_says() -> None:
    with MiniCluster(slots=1):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.get_config().enable_object_reuse()
        assert len(set(collected(env.from_collection([1, 2, 3]).map(RunningMap()).map(id)))) == 1
