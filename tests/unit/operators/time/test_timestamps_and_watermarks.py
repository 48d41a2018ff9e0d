"""Timestamps and watermarks of a strategy, with a manual clock."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, Watermark, WatermarkStatus
from shmflink.core.time_units import Duration
from shmflink.core.watermark_strategy import TimestampAssigner, WatermarkGenerator, WatermarkStrategy
from shmflink.errors import TypeMismatchError, UserFunctionError
from shmflink.operators.time.timestamps_and_watermarks import TimestampsAndWatermarksOperator
from shmflink.testing.operator_harness import OperatorHarness


class Second(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return value[1]


def bounded(bound_ms: int) -> WatermarkStrategy:
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(bound_ms))
    return strategy.with_timestamp_assigner(Second())


def harness(strategy: WatermarkStrategy, **options: Any) -> OperatorHarness:
    return OperatorHarness(TimestampsAndWatermarksOperator(strategy), **options)


def test_watermarks_leave_at_the_interval_and_never_per_record() -> None:
    with harness(bounded(10)) as bench:
        bench.process_rows([("a", 100), ("b", 90)])
        bench.process_rows([("c", 50)])
        assert (bench.watermarks(), bench.timestamps()) == ([], [100, 90, 50])
        bench.advance_processing_time_ms(199)
        assert bench.watermarks() == []
        bench.advance_processing_time_ms(1)
        assert bench.watermarks() == [100 - 10 - 1]
        bench.advance_processing_time_ms(1000)
        assert bench.watermarks() == [89]  # only where it grows
        bench.process_rows([("d", 200)])
        bench.advance_processing_time_ms(200)
        assert bench.watermarks() == [89, 189]


def test_monotonous_timestamps_are_a_bound_of_zero() -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(Second())
    with harness(strategy, configuration={"pipeline.auto-watermark-interval": "0 ms"}) as bench:
        bench.process_rows([("a", 5), ("b", 3)])
        bench.process_rows([("c", 2)])
        assert bench.watermarks() == [4]


def test_upstream_watermarks_are_swallowed_but_for_the_last() -> None:
    with harness(bounded(0)) as bench:
        bench.process_watermark(1000)
        bench.process_control(WatermarkStatus(idle=True))
        assert bench.elements == []
        bench.process_control(MAX_WATERMARK)
        assert bench.elements == [MAX_WATERMARK]


def test_a_column_gives_timestamps_without_a_function() -> None:
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("at")
    columns = pa.record_batch({"at": pa.array([1_500_000, 2_000_000], pa.timestamp("us")), "x": [1, 2]})
    with harness(strategy) as bench:
        bench.process_batch(columns)
        assert bench.timestamps() == [1500, 2000]
        assert bench.batches()[0].is_columnar
        with pytest.raises(TypeMismatchError, match="`at` is null"):
            bench.process_batch(pa.record_batch({"at": pa.array([1, None], pa.int64())}))
        with pytest.raises(TypeMismatchError, match="no column `at`"):
            bench.process_batch(pa.record_batch({"ts": [1]}))
        with pytest.raises(TypeMismatchError, match="has type string"):
            bench.process_batch(pa.record_batch({"at": ["1"]}))


def test_a_split_that_gives_nothing_turns_idle_and_back() -> None:
    """[T3]"""
    with harness(bounded(0).with_idleness(Duration.of_millis(500))) as bench:
        bench.process_rows([("a", 10)])
        bench.advance_processing_time_ms(200)
        bench.clear()
        bench.advance_processing_time_ms(2000)
        assert bench.elements == [WatermarkStatus(idle=True)]
        bench.process_rows([("a", 20)])
        bench.advance_processing_time_ms(200)
        assert bench.elements[2:] == [WatermarkStatus(idle=False), *bench.elements[3:]]
        assert bench.watermarks() == [19]


def test_the_users_own_generator() -> None:
    class EveryEvent(WatermarkGenerator):
        def on_event(self, event: Any, event_timestamp: int, output: Any) -> None:
            output.emit_watermark(event_timestamp - 100)

        def on_periodic_emit(self, output: Any) -> None:
            output.emit_watermark(0)

    strategy = WatermarkStrategy.for_generator(EveryEvent).with_timestamp_assigner(Second())
    with harness(strategy) as bench:
        bench.process_rows([("a", 300), ("b", 200), ("c", 310)])
        assert [e if isinstance(e, Watermark) else e.rows() for e in bench.elements] == [
            [("a", 300)],
            Watermark(200),  # right behind its event: the batch is cut
            [("b", 200), ("c", 310)],
            Watermark(210),
        ]
        bench.advance_processing_time_ms(200)
        assert bench.watermarks() == [200, 210]


def test_batch_mode_has_timestamps_and_no_watermarks() -> None:
    with harness(bounded(0), is_batch=True) as bench:
        bench.process_rows([("a", 300)])
        bench.advance_processing_time_ms(1000)
        assert (bench.timestamps(), bench.watermarks()) == ([300], [])


def test_an_assigner_that_fails_or_gives_no_number_names_the_record() -> None:
    with harness(bounded(0), name="Timestamps") as bench:
        with pytest.raises(UserFunctionError, match="IndexError"):
            bench.process_rows([("a", 1), ("b",)])
        with pytest.raises(TypeMismatchError, match=r"'Timestamps'.*returned 'x' for"):
            bench.process_rows([("a", 1), ("b", "x")])


@pytest.mark.parametrize(
    ("kind", "value", "millis"),
    [
        (pa.timestamp("ns"), -(2**63), -9223372036855),
        (pa.timestamp("ns"), 2**63 - 1, 9223372036854),
        (pa.timestamp("us", "Europe/Zurich"), 1_774_746_000_000_001, 1_774_746_000_000),  # DST begins: UTC all the same
        (pa.timestamp("us"), -1, -1),
        (pa.timestamp("s"), -1, -1000),
        (pa.timestamp("s"), 2**62, None),
        (pa.date32(), -1, -86_400_000),
        (pa.date32(), 2**31 - 1, (2**31 - 1) * 86_400_000),
        (pa.int64(), -(2**63), -(2**63)),
        (pa.int64(), 2**63 - 1, 2**63 - 1),
        (pa.uint64(), 2**63, None),
        (pa.int32(), 1_483_228_799, 1_483_228_799),
    ],
)
def test_timestamps_at_the_ends_of_their_types(kind: pa.DataType, value: int, millis: int | None) -> None:
    """[T9] Zones, negative ones, the ends of 64 bits: milliseconds of UTC, or an error with a type."""
    storage = pa.int32() if kind in (pa.date32(), pa.int32()) else pa.uint64() if kind == pa.uint64() else pa.int64()
    column = pa.array([value], storage).cast(kind)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("at")
    with harness(strategy) as bench:
        batch = Batch.of_columns(pa.record_batch([column], names=["at"]))
        if millis is None:
            with pytest.raises(TypeMismatchError, match=re.escape(f"`at` ({kind}) does not fit 64 bits")):
                bench.process_batch(batch)
            return
        bench.process_batch(batch)
        assert bench.timestamps() == [millis]


def test_a_timestamp_of_the_far_future_does_not_make_all_others_late() -> None:
    """[T6] It goes on with its record; event time is told from the others."""
    year_2999 = 32_472_144_000_000
    strategy = bounded(0).with_max_ahead(Duration.of_millis(1000))
    with harness(strategy) as bench:
        bench.process_rows([("a", 10), ("poison", year_2999), ("b", 30)])
        bench.process_rows([("poison", year_2999)])
        bench.advance_processing_time_ms(200)
        assert bench.watermarks() == [29]
        assert bench.timestamps() == [10, year_2999, 30, year_2999]
        bench.process_rows([("c", 1200)])  # ahead of the clock, and within the limit
        bench.advance_processing_time_ms(200)
        assert bench.watermarks() == [29, 1199]
