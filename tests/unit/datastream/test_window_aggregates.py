"""Windows over expressions in a program: columns and messages; nothing is executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Time, Types, WatermarkStrategy
from shmflink.datastream import AggregateFunction, DataStream, OutputTag, StreamExecutionEnvironment
from shmflink.datastream.window import (
    CountTrigger,
    CountTumblingWindowAssigner,
    EventTimeSessionWindows,
    EventTimeTrigger,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.expressions import col, count
from shmflink.operators.windows.evictors import CountEvictor
from shmflink.operators.windows.pane_columns import ColumnarLocalWindowAggregate
from shmflink.operators.windows.pane_operator import GlobalWindowAggregateOperator
from shmflink.operators.windows.window_operator import WindowOperator
from shmflink.planner.lowering import lower
from shmflink.planner.pushdown import push_down
from shmflink.planner.transformations import OperatorTransformation, PartitionTransformation

TABLE = pa.table({"user": ["a"], "price": [1.5], "ts": pa.array([0], pa.timestamp("ms")), "more": ["x"]})
TUMBLING = TumblingEventTimeWindows.of(Time.seconds(10))


@pytest.fixture
def table(env: StreamExecutionEnvironment) -> DataStream:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("ts")
    return env.from_arrow(TABLE).assign_timestamps_and_watermarks(strategy)


class Sum(AggregateFunction):
    def create_accumulator(self) -> int:
        return 0

    def add(self, value: Any, accumulator: int) -> int:
        return accumulator + int(value.price)

    def get_result(self, accumulator: int) -> int:
        return accumulator

    def merge(self, acc_a: int, acc_b: int) -> int:
        return acc_a + acc_b


def test_keys_then_the_window_then_the_aggregates(table: DataStream) -> None:
    windows = table.key_by("user").window(TUMBLING)
    result = windows.aggregate(n=count(), mean=col("price").sum / count())
    assert [(field.name, str(field.type)) for field in result.schema] == [
        ("user", "string"),
        ("window_start", "timestamp[ms]"),
        ("window_end", "timestamp[ms]"),
        ("n", "int64"),
        ("mean", "double"),
    ]
    result = windows.aggregate(count().alias("n"), col("price").max.alias("top"), window_start="at", window_end=None)
    assert result.schema.names == ["user", "at", "n", "top"]
    five = [col("price").max.alias(f"top{number}") for number in range(5)]
    assert windows.aggregate(*five).schema.names[3:] == ["top0", "top1", "top2", "top3", "top4"]


def test_windows_of_all_elements_run_in_one_subtask(table: DataStream) -> None:
    result = table.window_all(TUMBLING).aggregate(n=count())
    assert result.schema.names == ["window_start", "window_end", "n"]
    assert result.node.settings.parallelism == 1
    assert table.key_by("user").window(TUMBLING).aggregate(n=count()).node.settings.parallelism != 1


def test_rows_are_aggregated_before_they_are_shuffled_by_key_columns(table: DataStream) -> None:
    [last] = lower(table.key_by("user").window(TUMBLING).aggregate(n=count()).recorded.plan())
    assert isinstance(last.operator, GlobalWindowAggregateOperator)
    [partitioned] = last.inputs
    assert isinstance(partitioned, PartitionTransformation)
    assert partitioned.key_columns == ("user",)
    [local] = partitioned.inputs
    assert isinstance(local, OperatorTransformation)
    assert isinstance(local.operator, ColumnarLocalWindowAggregate)
    assert last.description == "WindowAggregate(TumblingEventTimeWindows(10000, 0); by user; count() AS n)"


def test_only_the_columns_that_are_used_are_read(table: DataStream) -> None:
    def needed(stream: Any) -> frozenset[str]:
        [last] = lower(stream.recorded.plan())
        [local] = last.inputs[0].inputs
        operator = local.operator
        columns: frozenset[str] = operator.columns_needed(None)
        return columns

    windows = table.key_by("user").window(TUMBLING)
    assert needed(windows.aggregate(top=col("price").max)) == {"user", "price"}
    assert needed(table.window_all(TUMBLING).aggregate(n=count())) != frozenset()
    late = windows.side_output_late_data(OutputTag("late", Types.PICKLED_BYTE_ARRAY()))
    assert needed(late.aggregate(top=col("price").max)) == set(TABLE.schema.names)


def test_the_plan_reads_less_and_stays_the_same(table: DataStream) -> None:
    [last] = lower(table.key_by("user").window(TUMBLING).aggregate(top=col("price").max).recorded.plan())
    [made] = push_down([last], is_batch=False)
    [local] = made.inputs[0].inputs
    assert isinstance(local, OperatorTransformation)
    assert isinstance(local.operator, ColumnarLocalWindowAggregate)
    assert local.operator.columns_needed(None) == {"user", "price"}


def test_an_aggregate_function_takes_records(table: DataStream) -> None:
    result = table.key_by("user").window(TUMBLING).aggregate(Sum(), output_type=Types.LONG())
    [made] = lower(result.recorded.plan())
    assert isinstance(made.operator, WindowOperator)


def test_the_default_trigger_may_be_named(table: DataStream) -> None:
    table.key_by("user").window(TUMBLING).trigger(EventTimeTrigger.create()).aggregate(n=count())


REFUSED: list[tuple[str, Callable[[Any], Any]]] = [
    ("sessions of a fixed gap, not with CountTumbling", lambda keyed: keyed.window(CountTumblingWindowAssigner(3))),
    (
        "sessions of a fixed gap, not with DynamicEvent",
        lambda keyed: keyed.window(EventTimeSessionWindows.with_dynamic_gap(lambda row: 3)),  # type: ignore[arg-type]  # as PyFlink
    ),
    ("default trigger, not with CountTrigger", lambda keyed: keyed.window(TUMBLING).trigger(CountTrigger(3))),
    ("an evictor needs the elements", lambda keyed: keyed.window(TUMBLING).evictor(CountEvictor.of(3))),
]


@pytest.mark.parametrize(("message", "windows"), REFUSED)
def test_what_needs_records_is_refused_with_the_way_out(table: DataStream, message: str, windows: Any) -> None:
    with pytest.raises(JobGraphError, match=message) as raised:
        windows(table.key_by("user")).aggregate(n=count())
    assert "apply()" in str(raised.value)


def test_keys_that_are_no_columns_are_refused(table: DataStream) -> None:
    with pytest.raises(TypeMismatchError, match="needs keys that are columns"):
        table.key_by(lambda row: row.user).window(TUMBLING).aggregate(n=count())


def test_elements_that_are_no_columns_are_refused(env: StreamExecutionEnvironment) -> None:
    assigner = TumblingProcessingTimeWindows.of(Time.seconds(1))
    windows = env.from_collection([1, 2]).map(lambda value: value).window_all(assigner)
    with pytest.raises(TypeMismatchError, match="columns of this stream are not known"):
        windows.aggregate(n=count())


def test_a_name_that_is_there_twice_is_refused(table: DataStream) -> None:
    windows = table.key_by("user").window(SlidingEventTimeWindows.of(Time.seconds(10), Time.seconds(5)))
    for names in ({"window_start": "user"}, {"window_end": "n"}, {"window_start": "x", "window_end": "x"}):
        with pytest.raises(TypeMismatchError, match="window's column"):
            windows.aggregate(n=count(), **names)


def test_an_expression_that_does_not_fit_is_named_with_its_line(table: DataStream) -> None:
    with pytest.raises(TypeMismatchError, match=r"test_window_aggregates\.py:\d+.*prize"):
        table.key_by("user").window(TUMBLING).aggregate(top=col("prize").max)


def test_nothing_to_aggregate_is_an_error(table: DataStream) -> None:
    with pytest.raises(TypeError, match="AggregateFunction, or expressions"):
        table.key_by("user").window(TUMBLING).aggregate()
