"""`WatermarkStrategy` and `TimestampAssigner`, with PyFlink's behavior (`pyflink.common.watermark_strategy`).

A strategy is a plain description; the reader of a stream's timestamps decides which parts of it can be honored.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shmflink.core.coroutines import refuse_coroutines
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.time_units import Duration, duration_of

__all__ = ["ColumnTimestamps", "TimestampAssigner", "WatermarkGenerator", "WatermarkOutput", "WatermarkStrategy"]


class TimestampAssigner(ABC):
    """Extracts the event time of a record."""

    @abstractmethod
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        """Milliseconds since 1970 (UTC). `record_timestamp` comes from the source, -1 if it gave none."""


@dataclass(frozen=True, slots=True)
class ColumnTimestamps:
    """*shmflink only.* Event time is a column: a timestamp, a date, or an integer of milliseconds since 1970 (UTC)."""

    column: str


class WatermarkOutput(ABC):
    """Where a generator emits watermarks (Flink: WatermarkOutput)."""

    @abstractmethod
    def emit_watermark(self, timestamp_ms: int) -> None:
        """No record with a timestamp <= `timestamp_ms` follows; a watermark that does not advance is dropped."""

    @abstractmethod
    def mark_idle(self) -> None:
        """No records are expected for now: others should not wait."""

    @abstractmethod
    def mark_active(self) -> None:
        """The input contributes to event time again."""


class WatermarkGenerator(ABC):
    """*shmflink only.* Derives watermarks from records (Flink: WatermarkGenerator). One per split or subtask."""

    @abstractmethod
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        """Called for every record."""

    @abstractmethod
    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Called every `pipeline.auto-watermark-interval`."""


@dataclass(frozen=True, slots=True)
class WatermarkStrategy:
    """How far event time has advanced, derived from the timestamps seen.

    `max_out_of_orderness` None = no watermarks, unless `generator` creates a custom one. Alignment: (group,
    greatest drift, update interval). Timestamps more than `max_ahead` ahead of the clock do not count.
    """

    max_out_of_orderness: Duration | None
    timestamp_assigner: TimestampAssigner | ColumnTimestamps | None = None
    idle_timeout: Duration | None = None
    alignment: tuple[str, Duration, Duration | None] | None = None
    generator: Callable[[], WatermarkGenerator] | None = None
    max_ahead: Duration | None = None

    @property
    def makes_watermarks(self) -> bool:
        """*shmflink only.* False if the last watermark is the only one."""
        return self.max_out_of_orderness is not None or self.generator is not None

    @staticmethod
    def for_monotonous_timestamps() -> WatermarkStrategy:
        """Timestamps never decrease within one split."""
        return WatermarkStrategy(Duration.of_millis(0))

    @staticmethod
    def for_bounded_out_of_orderness(max_out_of_orderness: Duration) -> WatermarkStrategy:
        """A timestamp is at most this much below the greatest one before it."""
        return WatermarkStrategy(duration_of(max_out_of_orderness, "for_bounded_out_of_orderness(): the time"))

    @staticmethod
    def no_watermarks() -> WatermarkStrategy:
        """For jobs without event time."""
        return WatermarkStrategy(None)

    @staticmethod
    def for_generator(generator: Callable[[], WatermarkGenerator]) -> WatermarkStrategy:
        """*shmflink only.* Watermarks of a custom generator; `generator` creates one per split or subtask."""
        refuse_coroutines(generator)
        return WatermarkStrategy(None, generator=generator)

    def with_timestamp_assigner(self, timestamp_assigner: TimestampAssigner) -> WatermarkStrategy:
        """This strategy with the assigner's timestamps."""
        refuse_coroutines(timestamp_assigner, "extract_timestamp")
        if not callable(getattr(type(timestamp_assigner), "extract_timestamp", None)):
            raise TypeError(_no_assigner(timestamp_assigner))
        return replace(self, timestamp_assigner=timestamp_assigner)

    def with_timestamp_column(self, column: str) -> WatermarkStrategy:
        """*shmflink only.* This strategy with the timestamps of a column, without a function per record."""
        if not isinstance(column, str):
            raise TypeError(f"with_timestamp_column() takes the name of a column, for example 'ts'; got {column!r}")
        return replace(self, timestamp_assigner=ColumnTimestamps(column))

    def with_idleness(self, idle_timeout: Duration) -> WatermarkStrategy:
        """Splits without records for this long do not hold event time back."""
        return replace(self, idle_timeout=duration_of(idle_timeout, "with_idleness(): the time"))

    def with_max_ahead(self, max_ahead: Duration) -> WatermarkStrategy:
        """*shmflink only.* A timestamp that is further ahead of this host's clock does not advance event time.

        Otherwise a record of the year 2999 would make all later records late. The record itself is processed, and waits
        in its window. Custom generators are not guarded.
        """
        return replace(self, max_ahead=duration_of(max_ahead, "with_max_ahead(): the time"))

    def with_watermark_alignment(
        self,
        watermark_group: str,
        max_allowed_watermark_drift: Duration,
        update_interval: Duration | None = None,
    ) -> WatermarkStrategy:
        """Sources of one group wait for each other if one runs ahead by more than the drift."""
        what = "with_watermark_alignment(): the drift or interval"
        drift = duration_of(max_allowed_watermark_drift, what)
        interval = None if update_interval is None else duration_of(update_interval, what)
        return replace(self, alignment=(watermark_group, drift, interval))


def _no_assigner(given: Any) -> str:
    advice = "to name a column, use with_timestamp_column('ts')"
    if inspect.isclass(given):
        advice = f"create an object: with_timestamp_assigner({given.__name__}())"
    elif inspect.isroutine(given):
        advice = (
            "write the function as the method extract_timestamp(self, value, record_timestamp) of a class derived from "
            f"TimestampAssigner; {advice}"
        )
    return f"with_timestamp_assigner() takes a TimestampAssigner, got {given!r}: {advice}"
