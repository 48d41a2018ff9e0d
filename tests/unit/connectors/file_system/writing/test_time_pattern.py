from __future__ import annotations

import datetime as dt

import pytest

from shmflink.connectors.file_system.writing.time_pattern import TimePattern, time_zone
from shmflink.errors import ConfigurationError, DataFormatError

NOW = 1_700_000_000  # 2023-11-14 22:13:20 UTC


@pytest.mark.parametrize(
    ("pattern", "zone", "text", "finest_seconds"),
    [
        ("yyyy-MM-dd--HH", "UTC", "2023-11-14--22", 3600),
        ("yyyyMMdd", "GMT-08:00", "20231114", 86_400),
        ("uuuu/DDD/'o''clock 'hh a", "Europe/Berlin", "2023/318/o'clock 11 PM", 3600),
        ("EEE mm", "+01", "Tue 13", 60),
        ("HHmmss'%'", "+01", "231320%", 1),
    ],
)
def test_patterns_of_java(pattern: str, zone: str, text: str, finest_seconds: int) -> None:
    made = TimePattern(pattern, zone)
    assert (made.text(NOW), made.finest_seconds) == (text, finest_seconds)


def test_years_that_the_calendar_has_not() -> None:
    with pytest.raises(DataFormatError, match="1700000000000 seconds from 1970 is outside the years 1 to 9999"):
        TimePattern("yyyy", "UTC").text(NOW * 1000)


def test_zones() -> None:
    assert time_zone("UTC+5:30").utcoffset(None) == dt.timedelta(hours=5, minutes=30)
    with pytest.raises(ConfigurationError, match="unknown time zone `Mars/Olympus`"):
        time_zone("Mars/Olympus")
