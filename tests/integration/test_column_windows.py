"""Windows over expressions in whole jobs in one process: both modes, parallel, with late data and downstream
operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Duration, Time, WatermarkStrategy
from shmflink.datastream import OutputTag, RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.window import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    WindowAssigner,
)
from shmflink.expressions import col, count
from shmflink.testing import MiniCluster

ROWS = 4_000
EVENTS = pa.table(
    {
        "user": [f"u{row % 7}" for row in range(ROWS)],
        "price": [row % 13 for row in range(ROWS)],
        "ts": pa.array([row * 5 + row * 7919 % 50 for row in range(ROWS)], pa.timestamp("ms")),
    }
)
WINDOWS = [
    TumblingEventTimeWindows.of(Time.milliseconds(500)),
    SlidingEventTimeWindows.of(Time.milliseconds(500), Time.milliseconds(200)),
    EventTimeSessionWindows.with_gap(Time.milliseconds(36)),
]


@pytest.fixture(params=["BATCH", "STREAMING"])
def env(request: pytest.FixtureRequest) -> Iterator[Any]:
    with MiniCluster(slots=2):
        made = StreamExecutionEnvironment.get_execution_environment()
        made.set_runtime_mode(RuntimeExecutionMode[request.param])
        made.set_parallelism(2)
        yield made


def stamped(env: Any, table: pa.Table, bound_ms: int = 50) -> Any:
    bound = Duration.of_millis(bound_ms)
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(bound).with_timestamp_column("ts")
    return env.from_arrow(table).assign_timestamps_and_watermarks(strategy)


class Bounds:
    """Counts and sums the rows of a window, one by one."""

    def __new__(cls) -> Any:
        from shmflink.datastream import ProcessWindowFunction

        class Results(ProcessWindowFunction):
            def process(self, key: Any, context: Any, elements: Any) -> Iterator[Any]:
                prices = [row.price for row in elements]
                window = context.window()
                yield (key, window.start, window.end, len(prices), sum(prices))

        return Results()


def plain(stream: Any) -> list[tuple[Any, ...]]:
    table = stream.to_arrow()
    columns = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns]
    return sorted(zip(*(column.to_pylist() for column in columns), strict=True))


@pytest.mark.parametrize("windows", WINDOWS, ids=lambda each: type(each).__name__)
def test_expressions_give_what_a_function_gives(env: Any, windows: WindowAssigner) -> None:
    keyed = stamped(env, EVENTS).key_by("user")
    by_records = sorted(keyed.window(windows).process(Bounds()).execute_and_collect())
    by_columns = plain(keyed.window(windows).aggregate(n=count(), total=col("price").sum))
    assert by_columns == by_records
    assert len(by_columns) > 100


def test_windows_behind_windows(env: Any) -> None:
    """Results have the greatest timestamp of their window, so that a longer window takes them as they are."""
    inner = TumblingEventTimeWindows.of(Time.milliseconds(100))
    outer = TumblingEventTimeWindows.of(Time.milliseconds(1000))
    counts = stamped(env, EVENTS).key_by("user").window(inner).aggregate(n=count())
    total = counts.window_all(outer).aggregate(n=col("n").sum, most=col("n").max, window_end=None)
    stamps = EVENTS["ts"].cast(pa.int64()).to_pylist()
    expected = {start: sum(start <= at < start + 1000 for at in stamps) for start in range(0, max(stamps) + 1, 1000)}
    assert {start: n for start, n, _ in plain(total)} == expected


def test_late_rows_come_out_of_a_side_output_as_rows() -> None:
    table = pa.table(
        {"user": ["a"] * 4, "price": [1, 2, 4, 8], "ts": pa.array([10, 2_000, 20, 2_001], pa.timestamp("ms"))}
    )
    late = OutputTag("late")
    with MiniCluster(slots=1):
        env = StreamExecutionEnvironment.get_execution_environment()
        env.set_parallelism(1)
        env.get_config().set_auto_watermark_interval(0)
        batches = [pa.RecordBatch.from_pylist([row], table.schema) for row in table.to_pylist()]
        strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("ts")
        stream = env.generate(
            lambda start, stop: batches[start] if stop > start else batches[0].slice(0, 0), 4, batch_rows=1
        )
        windowed = (
            stream.assign_timestamps_and_watermarks(strategy)
            .key_by("user")
            .window(TumblingEventTimeWindows.of(Time.milliseconds(100)))
            .side_output_late_data(late)
            .aggregate(mean=col("price").sum / count())
        )
        rows = list(windowed.get_side_output(late).execute_and_collect())
    assert [(row.user, row.price) for row in rows] == [("a", 4)]
