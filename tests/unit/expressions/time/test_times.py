"""Parts of times, units, differences, buckets, intervals, the clock."""

from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError, TypeMismatchError
from shmflink.expressions import (
    Expression,
    TimeIntervalUnit,
    TimePointUnit,
    bind,
    col,
    current_date,
    current_time,
    current_timestamp,
    lit,
    local_time,
    local_timestamp,
    temporal_overlaps,
    timestamp_add,
    timestamp_diff,
    unix_timestamp,
    using_clock,
)

A, B = col("a"), col("b")


def values(expression: Expression, **columns: Any) -> list[Any]:
    batch = pa.record_batch({name: pa.array(given) for name, given in columns.items()})
    return bind([expression], batch.schema).evaluate(batch)[0].to_pylist()


class StoppedClock:
    """Always the same time; counts how often it is read."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.reads = 0

    def monotonic_ns(self) -> int:
        return 0

    def processing_time_ms(self) -> int:
        self.reads += 1
        return self.now_ms


MOMENT = dt.datetime(2024, 2, 29, 23, 59, 58, 123456)


@pytest.mark.parametrize(
    ("unit", "part"),
    [
        ("YEAR", 2024),
        ("QUARTER", 1),
        ("MONTH", 2),
        ("WEEK", 9),
        ("DAY", 29),
        ("HOUR", 23),
        ("MINUTE", 59),
        ("SECOND", 58),
    ],
)
def test_parts(unit: str, part: int) -> None:
    assert values(A.extract(TimeIntervalUnit[unit]), a=[MOMENT, None]) == [part, None]


def test_parts_in_a_zone_are_local() -> None:
    moments = pa.array([MOMENT]).cast(pa.timestamp("us", "Asia/Tokyo"))
    assert values(A.extract(TimeIntervalUnit.HOUR), a=moments) == [8]


def test_parts_of_intervals() -> None:
    assert values(lit(-90_061).seconds.extract(TimeIntervalUnit.HOUR), a=[0]) == [-1]
    assert values(lit(14).months.extract(TimeIntervalUnit.YEAR), a=[0]) == [1]
    assert values(lit(14).months.extract(TimeIntervalUnit.MONTH), a=[0]) == [2]
    with pytest.raises(TypeMismatchError, match="interval of months has no HOUR"):
        values(lit(1).month.extract(TimeIntervalUnit.HOUR), a=[0])


def test_units_down_and_up() -> None:
    assert values(A.floor(TimeIntervalUnit.WEEK), a=[MOMENT]) == [dt.datetime(2024, 2, 25)]  # a Sunday
    assert values(A.floor(TimeIntervalUnit.QUARTER), a=[MOMENT.date()]) == [dt.date(2024, 1, 1)]
    assert values(A.ceil(TimeIntervalUnit.DAY), a=[MOMENT, dt.datetime(2024, 1, 1)]) == [
        dt.datetime(2024, 3, 1),
        dt.datetime(2024, 1, 1),
    ]


@pytest.mark.parametrize("unit", [TimeIntervalUnit.DAY_TO_HOUR, "DAY", None, TimePointUnit.DAY])
def test_units_that_are_none(unit: Any) -> None:
    with pytest.raises(TypeMismatchError, match="takes one of DAY, HOUR"):
        A.extract(unit)


def test_differences_count_what_is_complete() -> None:
    jan31, feb29, mar1 = dt.datetime(2024, 1, 31), dt.datetime(2024, 2, 29), dt.datetime(2024, 3, 1)
    days = {"a": [jan31, feb29, jan31], "b": [feb29, jan31, mar1]}
    assert values(timestamp_diff(TimePointUnit.MONTH, A, B), **days) == [1, -1, 1]
    assert values(timestamp_diff(TimePointUnit.DAY, A, B), **days) == [29, -29, 30]
    assert values(timestamp_diff(TimePointUnit.WEEK, A, B), **days) == [4, -4, 4]
    assert values(timestamp_diff(TimePointUnit.MICROSECOND, A, B), a=[jan31], b=[jan31.date()]) == [0]


def test_spans_that_touch_overlap() -> None:
    nine, ten, eleven = (dt.datetime(2024, 1, 1, hour) for hour in (9, 10, 11))
    assert values(temporal_overlaps(A, lit(1).hour, B, lit(1).hour), a=[nine, nine, None], b=[ten, eleven, ten]) == [
        True,
        False,
        None,
    ]
    assert values(temporal_overlaps(A, B, A, B), a=[ten], b=[nine]) == [True]  # ends in either order


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_buckets_keep_their_type(unit: str) -> None:
    seconds = pa.array([-1, 0, 9, 10, None], pa.timestamp("s")).cast(pa.timestamp(unit))
    batch = pa.record_batch({"a": seconds})
    buckets = bind([A.floor_to(seconds=10)], batch.schema).evaluate(batch)[0]
    assert buckets.type == pa.timestamp(unit)
    assert buckets.cast(pa.timestamp("s")).cast(pa.int64()).to_pylist() == [-10, 0, 0, 10, None]


def test_buckets_of_integers_and_with_offset() -> None:
    assert values(A.floor_to(seconds=1, milliseconds=500), a=[1499, 1500, -1]) == [0, 1500, -1500]
    assert values(A.floor_to(seconds=1, offset_ms=300), a=[1299, 1300]) == [300, 1300]


def test_buckets_that_are_none() -> None:
    with pytest.raises(TypeMismatchError, match="a size above 0"):
        A.floor_to()
    with pytest.raises(TypeMismatchError, match="buckets need timestamps or integers"):
        values(A.floor_to(days=1), a=["x"])
    with pytest.raises(TypeMismatchError, match="10 ms of timestamps in s"):
        values(A.floor_to(milliseconds=10), a=pa.array([1], pa.timestamp("s")))


def test_intervals_move_points() -> None:
    assert values(A + lit(1).month, a=[dt.date(2023, 1, 31), dt.date(2024, 1, 31)]) == [
        dt.date(2023, 2, 28),
        dt.date(2024, 2, 29),
    ]
    assert values(A - lit(1).year, a=[MOMENT]) == [MOMENT.replace(year=2023, day=28)]
    assert values(A + lit(36).hours, a=[dt.date(2024, 1, 1)]) == [dt.date(2024, 1, 2)]  # whole days
    assert values(A - lit(2).hours, a=[dt.time(1, 0)]) == [dt.time(23, 0)]
    assert values(A + B.days, a=[MOMENT, MOMENT], b=[1, None]) == [MOMENT + dt.timedelta(days=1), None]
    assert values(lit(1).day * 3, a=[0]) == [dt.timedelta(days=3)]


def test_intervals_too_long() -> None:
    with pytest.raises(DataFormatError, match="overflow"):
        values(A.weeks, a=[2**60])


def test_the_clock_is_read_once_for_a_batch() -> None:
    clock = StoppedClock(1_709_251_198_123)
    everything = [
        current_timestamp(),
        local_timestamp(),
        current_date(),
        current_time(),
        local_time(),
        unix_timestamp(),
    ]
    batch = pa.record_batch({"a": [1, 2]})
    bound = bind(pickle.loads(pickle.dumps(everything)), batch.schema)
    clock.reads = 0
    with using_clock(clock):
        result = [array.to_pylist()[1] for array in bound.evaluate(batch)]
    moment = dt.datetime(2024, 2, 29, 23, 59, 58, 123_000)
    assert clock.reads == 1
    assert result[0] == moment.replace(tzinfo=dt.UTC)
    assert result[1:] == [moment, moment.date(), moment.time(), moment.time(), 1_709_251_198]


def test_local_time_of_a_zone() -> None:
    with using_clock(StoppedClock(0)):
        assert values(local_timestamp("Asia/Tokyo"), a=[0]) == [dt.datetime(1970, 1, 1, 9)]


def test_months_of_times_of_day() -> None:
    noon, later = dt.datetime(2024, 3, 31, 12), dt.datetime(2024, 2, 29, 11)
    assert values(timestamp_diff(TimePointUnit.MONTH, A, B), a=[noon, later], b=[later, noon]) == [-2, 1]
    leap = dt.date(2024, 2, 29)
    assert values(timestamp_diff(TimePointUnit.YEAR, A, B), a=[leap, leap], b=[dt.date(2025, 2, 28), leap]) == [1, 0]


def test_a_difference_that_fits_no_int_is_an_error() -> None:
    ends = {"a": [dt.date(1900, 1, 1)], "b": [dt.date(2024, 1, 1)]}
    with pytest.raises(DataFormatError, match="does not fit INT: use MILLISECOND, which gives a BIGINT"):
        values(timestamp_diff(TimePointUnit.SECOND, A, B), **ends)
    assert values(timestamp_diff(TimePointUnit.MILLISECOND, A, B), **ends) == [3_913_056_000_000]


def test_exact_starts_of_long_units() -> None:
    starts = [dt.date(2024, 1, 1), dt.date(2024, 2, 1), dt.date(2024, 2, 2)]
    assert values(A.ceil(TimeIntervalUnit.MONTH), a=starts) == [*starts[:2], dt.date(2024, 3, 1)]
    assert values(A.ceil(TimeIntervalUnit.YEAR), a=starts)[:2] == [dt.date(2024, 1, 1), dt.date(2025, 1, 1)]
    april = [dt.date(2024, 1, 1), dt.date(2024, 4, 1)]
    assert values(A.ceil(TimeIntervalUnit.QUARTER), a=april) == [dt.date(2024, 1, 1), dt.date(2024, 7, 1)]


def test_units_in_a_zone_with_two_of_an_hour() -> None:
    kind = pa.timestamp("s", "America/Los_Angeles")
    twice = pa.array([dt.datetime(2024, 11, 3, 8, 45), dt.datetime(2024, 11, 3, 9, 45), None], pa.timestamp("s"))
    moments = twice.cast(pa.timestamp("s", "UTC")).cast(kind)
    hours = bind([A.floor(TimeIntervalUnit.HOUR), A.ceil(TimeIntervalUnit.DAY)], pa.schema([("a", kind)]))
    floored, ceiled = hours.evaluate(pa.record_batch({"a": moments}))
    utc = pa.timestamp("s", "UTC")
    assert [str(value) for value in floored.cast(utc)][:2] == ["2024-11-03 08:00:00+00:00", "2024-11-03 09:00:00+00:00"]
    assert [str(value) for value in ceiled.cast(utc)][:2] == ["2024-11-04 08:00:00+00:00"] * 2


def test_units_later() -> None:
    assert values(timestamp_add(TimePointUnit.MONTH, 1, A), a=[dt.date(2024, 1, 31)]) == [dt.date(2024, 2, 29)]
    assert values(timestamp_add(TimePointUnit.HOUR, B, A), a=[MOMENT], b=[-2]) == [MOMENT - dt.timedelta(hours=2)]
    with pytest.raises(TypeMismatchError, match="from YEAR to MILLISECOND"):
        timestamp_add(TimePointUnit.MICROSECOND, 1, A)
