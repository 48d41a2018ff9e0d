"""`Duration`, `Instant` and `Time`, with PyFlink's behavior (`pyflink.common.time`)."""

from __future__ import annotations

from typing import Any

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["Duration", "Instant", "Time", "duration_of", "milliseconds_of"]

_NANOS_PER_MILLI = 1_000_000
_NANOS_PER_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """An amount of time, exact to the nanosecond; may be negative."""

    nanos: int

    @staticmethod
    def of_days(days: int) -> Duration:
        """Days of 24 hours."""
        return Duration.of_hours(days * 24)

    @staticmethod
    def of_hours(hours: int) -> Duration:
        return Duration.of_minutes(hours * 60)

    @staticmethod
    def of_minutes(minutes: int) -> Duration:
        return Duration.of_seconds(minutes * 60)

    @staticmethod
    def of_seconds(seconds: int) -> Duration:
        return Duration(seconds * _NANOS_PER_SECOND)

    @staticmethod
    def of_millis(millis: int) -> Duration:
        return Duration(millis * _NANOS_PER_MILLI)

    @staticmethod
    def of_nanos(nanos: int) -> Duration:
        return Duration(nanos)

    def to_millis(self) -> int:
        """Whole milliseconds, rounded down (Java: `Duration.toMillis`). *shmflink only.*"""
        return self.nanos // _NANOS_PER_MILLI


@dataclass(frozen=True, slots=True, order=True, repr=False)
class Instant:
    """A point on the time line: seconds since 1970 (UTC) and nanoseconds within the second."""

    seconds: int
    nanos: int

    def to_epoch_milli(self) -> int:
        """Milliseconds since 1970, rounded down."""
        return self.seconds * 1000 + self.nanos // _NANOS_PER_MILLI

    @staticmethod
    def of_epoch_milli(epoch_milli: int) -> Instant:
        seconds, millis = divmod(epoch_milli, 1000)
        return Instant(seconds, millis * _NANOS_PER_MILLI)

    def __repr__(self) -> str:
        return f"Instant<{self.seconds}, {self.nanos}>"


class Time:
    """A time interval in milliseconds: window sizes, gaps, offsets."""

    __slots__ = ("_milliseconds",)

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def to_milliseconds(self) -> int:
        return self._milliseconds

    @staticmethod
    def milliseconds(milliseconds: int) -> Time:
        return Time(milliseconds)

    @staticmethod
    def seconds(seconds: int) -> Time:
        return Time.milliseconds(seconds * 1000)

    @staticmethod
    def minutes(minutes: int) -> Time:
        return Time.seconds(minutes * 60)

    @staticmethod
    def hours(hours: int) -> Time:
        return Time.minutes(hours * 60)

    @staticmethod
    def days(days: int) -> Time:
        return Time.hours(days * 24)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Time) and self._milliseconds == other._milliseconds

    def __hash__(self) -> int:
        return hash(self._milliseconds)

    def __str__(self) -> str:
        return f"{self._milliseconds} ms"

    def __repr__(self) -> str:
        return f"Time({self._milliseconds})"


def milliseconds_of(interval: Any, what: str = "a time of a window") -> int:
    """Whole milliseconds of a Time or a Duration; `what` names it in errors.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(interval, Time):
        return interval.to_milliseconds()
    return duration_of(interval, what).to_millis()


def duration_of(interval: Any, what: str) -> Duration:
    """A Duration or Time as a Duration; `what` names it in errors.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(interval, Duration):
        return interval
    if isinstance(interval, Time):
        return Duration.of_millis(interval.to_milliseconds())
    raise TypeError(
        f"{what} is an amount with its unit, for example Duration.of_seconds(5) or Time.seconds(5); got {interval!r}"
    )
