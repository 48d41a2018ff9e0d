"""A strategy is a description: each call returns a new one."""

from __future__ import annotations

from typing import Any

from shmflink.core.time_units import Duration
from shmflink.core.watermark_strategy import TimestampAssigner, WatermarkStrategy


class First(TimestampAssigner):
    def extract_timestamp(self, value: Any, record_timestamp: int) -> int:
        return int(value[0])


def test_a_strategy_is_built_step_by_step() -> None:
    plain = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(5))
    first = First()
    full = plain.with_timestamp_assigner(first).with_idleness(Duration.of_seconds(1))
    full = full.with_watermark_alignment("group", Duration.of_seconds(2))
    assert (plain.timestamp_assigner, plain.idle_timeout, plain.alignment) == (None, None, None)
    assert full == WatermarkStrategy(
        Duration.of_seconds(5), first, Duration.of_seconds(1), ("group", Duration.of_seconds(2), None)
    )


def test_monotonous_and_none() -> None:
    assert WatermarkStrategy.for_monotonous_timestamps().max_out_of_orderness == Duration.of_millis(0)
    assert WatermarkStrategy.no_watermarks().max_out_of_orderness is None
