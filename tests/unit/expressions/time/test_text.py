"""Formatting and parsing dates, zones."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from shmflink.errors import DataFormatError, TypeMismatchError
from shmflink.expressions import (
    Expression,
    bind,
    col,
    convert_tz,
    date_format,
    from_unixtime,
    lit,
    to_date,
    to_timestamp,
    to_timestamp_ltz,
    unix_timestamp,
)

A = col("a")
MOMENT = dt.datetime(2024, 2, 29, 15, 4, 5, 678901)


def column(expression: Expression, given: Any) -> pa.Array:
    batch = pa.record_batch({"a": pa.array(given)})
    return bind([expression], batch.schema).evaluate(batch)[0]


def values(expression: Expression, given: Any) -> list[Any]:
    return column(expression, given).to_pylist()


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-02-29T15:04:05.678"),
        ("d.M.yy h:m:s a", "29.2.24 3:4:5 PM"),
        ("EEE, dd MMM yyyy", "Thu, 29 Feb 2024"),
        ("EEEE d MMMM", "Thursday 29 February"),
        ("D DDD Q", "60 060 1"),
        ("k K H", "15 3 15"),
        ("''yyyy''", "'2024'"),
        ("'o''clock' HH", "o'clock 15"),
        ("SSSSSS", "678901"),
        ("yyyyMMddHHmmss", "20240229150405"),
    ],
)
def test_format(pattern: str, text: str) -> None:
    assert values(date_format(A, pattern), [MOMENT, None]) == [text, None]


@pytest.mark.parametrize(
    "pattern", ["yyyyMMddHHmmssSSSSSS", "d.M.yyyy H:m:s.SSSSSS", "EEE dd MMM yyyy hh:mm:ss.SSSSSS a"]
)
def test_there_and_back(pattern: str) -> None:
    assert values(to_timestamp(date_format(A, pattern), pattern), [MOMENT]) == [MOMENT]


@pytest.mark.parametrize(
    "text", ["", "x", "2024-02-30", "2024-13-01", "2024-01-01 24:00:00", "2024-01-01x", "24:00", "2024"]
)
def test_text_that_is_no_date(text: str) -> None:
    assert values(to_timestamp(A), [text]) == [None]
    with pytest.raises(DataFormatError, match="is not a date or timestamp"):
        values(A.to_date, ["2024-01-01", text])


def test_defaults_are_iso() -> None:
    texts = ["2024-2-9", "2024-02-09 1:2:3.5", "2024-02-09T01:02", "2024-02-09T01:02:03Z", "2024-02-09 01:02:03+02:00"]
    day = dt.datetime(2024, 2, 9)
    assert values(A.to_timestamp, texts) == [
        day,
        day.replace(hour=1, minute=2, second=3, microsecond=500_000),
        day.replace(hour=1, minute=2),
        day.replace(hour=1, minute=2, second=3),
        dt.datetime(2024, 2, 8, 23, 2, 3),
    ]


def test_resolution_follows_the_pattern() -> None:
    assert column(to_timestamp(A, "yyyy SSS"), ["2024 123"]).type == pa.timestamp("ms")
    assert column(to_timestamp(A, "yyyy SSSSSS"), ["2024 123456"]).type == pa.timestamp("us")
    nanos = column(to_timestamp(A, "yyyy SSSSSSSSS"), ["2024 123456789"])
    assert nanos.cast(pa.int64()).to_pylist()[0] % 1_000_000_000 == 123456789


@pytest.mark.parametrize("pattern", ["www", "yyyy]MM", "'open", "MMMMM", "VV", "{}"])
def test_patterns_that_are_refused(pattern: str) -> None:
    with pytest.raises(TypeMismatchError, match="date pattern"):
        date_format(A, pattern)


def test_patterns_are_constants() -> None:
    with pytest.raises(TypeMismatchError, match="must be a constant"):
        to_date(A, col("b"))
    assert values(to_date(A, lit("dd/MM/yyyy")), ["29/02/2024"]) == [dt.date(2024, 2, 29)]


@pytest.mark.parametrize(("precision", "unit"), [(0, "ms"), (2, "ms"), (3, "ms"), (5, "us"), (9, "ns")])
def test_numbers_as_moments(precision: int, unit: str) -> None:
    result = column(to_timestamp_ltz(A, precision), [-(10**precision), 10**precision, None])
    assert result.type == pa.timestamp(unit, "UTC")
    seconds = result.cast(pa.timestamp("s", "UTC")).cast(pa.int64())
    assert seconds.to_pylist() == [-1, 1, None]


def test_text_as_moments_of_a_zone() -> None:
    texts = ["2024-07-01 00:00:00", "2024-10-27 02:30:00", "2024-03-31 02:30:00"]  # summer, twice there, never there
    moments = values(to_timestamp_ltz(A, "yyyy-MM-dd HH:mm:ss", "Europe/Berlin"), texts)
    assert [moment.strftime("%d %H:%M") for moment in moments] == ["30 22:00", "27 00:30", "31 01:30"]


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("PST", "1969-12-31 16:00:00"),
        ("GMT+5:30", "1970-01-01 05:30:00"),
        ("-03", "1969-12-31 21:00:00"),
        ("UTC", "1970-01-01 00:00:00"),
    ],
)
def test_zones_of_java(zone: str, text: str) -> None:
    assert values(convert_tz(A, "UTC", zone), ["1970-01-01 00:00:00"]) == [text]
    assert values(convert_tz(A, zone, "UTC"), [text]) == ["1970-01-01 00:00:00"]


def test_local_times_that_a_zone_skips_or_has_twice() -> None:
    given = ["2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-11-03 01:30:00.5", "2024-11-03", None]
    assert values(convert_tz(A, "America/Los_Angeles", "UTC"), given) == [
        "2024-03-10 10:30:00",
        "2024-11-03 09:30:00",
        "2024-11-03 09:30:00",
        None,
        None,
    ]


def test_weeks_eras_and_optional_parts() -> None:
    moments = [dt.datetime(2024, 12, 31, 12, 34, 56, 789000), dt.datetime(2023, 1, 1)]
    assert values(date_format(A, "YYYY-'W'ww e D"), moments) == ["2025-W01 3 366", "2023-W01 1 1"]
    assert values(date_format(A, "yyyy G A [HH]"), moments) == ["2024 AD 45296789 12", "2023 AD 0 00"]
    assert values(date_format(A, ""), moments) == ["", ""]
    assert values(to_timestamp(A, "yyyy-MM-dd[ HH:mm]"), ["2024-02-29 12:34", "2024-02-30", "2024-02-29 x"]) == [
        dt.datetime(2024, 2, 29, 12, 34),
        dt.datetime(2024, 2, 29),
        None,
    ]


def test_no_such_zone() -> None:
    with pytest.raises(TypeMismatchError, match="no time zone 'Mars/Olympus'"):
        convert_tz(A, "UTC", "Mars/Olympus")


def test_seconds_since_1970() -> None:
    assert values(from_unixtime(A, "yyyy"), [-1, 0]) == ["1969", "1970"]
    given = ["1969-12-31 23:59:59", "1970-01-01 00:00:01.9", "?", "1970-01-01", None]
    assert values(unix_timestamp(A), given) == [-1, 1, -(2**63), -(2**63), None]
    assert values(from_unixtime(A), [2**63 - 1]) == ["1969-12-31 23:59:59"]
    assert values(unix_timestamp(A, "yyyy"), ["1971"]) == [31_536_000]
