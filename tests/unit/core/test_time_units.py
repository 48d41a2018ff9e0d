"""Durations, instants and times."""

from shmflink.core.time_units import Duration, Instant, Time


def test_durations_are_exact_and_compare_by_value() -> None:
    assert Duration.of_days(1) == Duration.of_hours(24) == Duration.of_minutes(1440) == Duration.of_seconds(86400)
    assert Duration.of_millis(1) == Duration.of_nanos(1_000_000)
    assert Duration.of_seconds(2).to_millis() == 2000


def test_instants_convert_to_milliseconds_and_back() -> None:
    for millis in (0, 1, 1_999, -1, -1_001, 2**53):
        assert Instant.of_epoch_milli(millis).to_epoch_milli() == millis
    assert repr(Instant.of_epoch_milli(1_234)) == "Instant<1, 234000000>"


def test_times_are_milliseconds() -> None:
    assert Time.days(1).to_milliseconds() == 86_400_000
    assert Time.seconds(2) == Time.milliseconds(2000) == Time(2000)
    assert str(Time.minutes(1)) == "60000 ms"
    assert len({Time.hours(1), Time.minutes(60)}) == 1
