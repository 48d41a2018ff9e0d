"""Vectorized windows before the shuffle."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, Barrier, LatencyMarker, Watermark
from shmflink.core.output_tag import OutputTag
from shmflink.expressions import AggregateCall, col
from shmflink.operators.aggregates.group import PASSED_ROWS_MIN
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.windows.pane_local import LocalWindowAggregateOperator
from shmflink.operators.windows.pane_spec import ROW_COLUMN, PaneTimes, SessionTimes, WindowAggregateSpec, WindowTimes
from shmflink.testing.operator_harness import OperatorHarness

SCHEMA = pa.schema([("key", pa.int64()), ("value", pa.int64()), ("unused", pa.string())])
CALLS = (("n", AggregateCall("count")), ("total", AggregateCall("sum", (col("value"),))))


def bench_of(times: WindowTimes, *, is_batch: bool = False, **options: Any) -> OperatorHarness:
    aggregate = AggregateSpec(SCHEMA, (("key", col("key")),), CALLS)
    return OperatorHarness(
        LocalWindowAggregateOperator(WindowAggregateSpec(aggregate, times, **options)), is_batch=is_batch
    )


def batch_of(rows: list[tuple[int, int, int]]) -> Batch:
    columns = [[k for k, _, _ in rows], [v for _, v, _ in rows], ["x"] * len(rows)]
    return Batch.of_columns(
        pa.record_batch(columns, schema=SCHEMA), timestamps=pa.array([at for _, _, at in rows], pa.int64())
    )


def sent(bench: OperatorHarness) -> list[tuple[int, ...]]:
    """What left since the last call: the columns, then the timestamp."""
    rows: list[tuple[int, ...]] = []
    for batch in bench.batches():
        assert batch.timestamps is not None
        columns = [column.to_pylist() for column in [*batch.columns().columns, batch.timestamps]]
        rows += zip(*columns, strict=True)
    bench.clear()
    return sorted(rows)


@pytest.mark.parametrize("element", [Watermark(3), MAX_WATERMARK, Barrier(1, 0)])
def test_nothing_is_held_back_over_a_control_element(element: Any) -> None:
    with bench_of(PaneTimes(10, 5)) as bench:
        bench.process_batch(batch_of([(1, 2, 4), (1, 3, 0), (2, 5, 1)]))
        bench.process_batch(batch_of([(1, 4, 4), (1, 100, 5)]))
        assert sent(bench) == []
        bench.process_control(element)
        assert bench.elements[-1] == element
        # The pane at 0 was met alone, and with another one: two rows.
        assert sent(bench) == [(1, 1, 4, 0), (1, 1, 100, 5), (1, 2, 5, 0), (2, 1, 5, 0)]


def test_a_latency_marker_overtakes() -> None:
    with bench_of(PaneTimes(10, 10)) as bench:
        bench.process_batch(batch_of([(1, 2, 4)]))
        bench.process_control(LatencyMarker(0, 0))
        assert sent(bench) == []


def test_in_batch_mode_only_the_end_flushes() -> None:
    with bench_of(PaneTimes(10, 10), is_batch=True) as bench:
        bench.process_batch(batch_of([(1, 2, 4)]))
        bench.process_control(Watermark(1000))
        assert sent(bench) == []
        bench.process_control(MAX_WATERMARK)
        assert sent(bench) == [(1, 1, 2, 0)]


def test_rows_that_seem_late_pass_as_they_are() -> None:
    with bench_of(PaneTimes(10, 10)) as bench:
        bench.process_watermark(9)
        bench.process_batch(batch_of([(1, 2, 4), (1, 3, 14)]))
        assert sent(bench) == [(1, 2, 4)]
        bench.process_batch(batch_of([(1, 2, 4)]))
        assert sent(bench) == [(1, 2, 4)]
        bench.process_watermark(10)
        assert sent(bench) == [(1, 1, 3, 10)]


def test_rows_wanted_back_travel_whole() -> None:
    with bench_of(PaneTimes(10, 10), late_data=OutputTag("late")) as bench:
        bench.process_batch(batch_of([(1, 2, 4)]))
        [batch] = bench.batches()
        columns = batch.columns()
        assert columns.schema.names == ["key", "__argument0", ROW_COLUMN]
        assert columns.column(2).to_pylist() == [{"key": 1, "value": 2, "unused": "x"}]


@pytest.mark.parametrize("times", [SessionTimes(5), PaneTimes(10, 10, 0, False), PaneTimes(4, 10)])
def test_where_the_pane_is_not_known_rows_pass_as_they_are(times: WindowTimes) -> None:
    with bench_of(times) as bench:
        bench.process_batch(batch_of([(1, 2, 4), (1, 3, 14)]))
        assert sent(bench) == [(1, 2, 4), (1, 3, 14)]


def test_keys_that_do_not_repeat_are_not_aggregated_for_a_while() -> None:
    rows = 1 << 13
    with bench_of(PaneTimes(10, 10)) as bench:
        bench.process_batch(batch_of([(key, 1, 3) for key in range(rows)]))
        bench.process_watermark(1)
        assert len(sent(bench)) == rows
        left = PASSED_ROWS_MIN
        while left > 0:  # passed on at once
            batch = batch_of([(1, 1, 3)] * rows * 16)
            bench.process_batch(batch)
            left -= batch.num_rows
            assert len(bench.batches()) == 1
            bench.clear()
        bench.process_batch(batch_of([(1, 1, 3)] * rows))
        assert bench.batches() == []
        bench.process_watermark(2)
        assert sent(bench) == [(1, rows, rows, 0)]


def test_many_panes_are_kept_in_one_table() -> None:
    with bench_of(PaneTimes(1, 1)) as bench:
        for at in range(50):
            bench.process_batch(batch_of([(1, at, at)]))
        bench.process_control(MAX_WATERMARK)
        assert sent(bench) == [(1, 1, at, at) for at in range(50)]
