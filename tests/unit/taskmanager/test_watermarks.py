"""WatermarkValve against the rules of Flink's StatusWatermarkValve (numbers of the semantics list)."""

from __future__ import annotations

from shmflink.core.elements import MAX_WATERMARK, Watermark, WatermarkStatus
from shmflink.taskmanager.watermarks import WatermarkValve

_IDLE, _ACTIVE = WatermarkStatus(idle=True), WatermarkStatus(idle=False)


def test_rule_1_the_minimum_over_all_channels_not_the_last_sender() -> None:
    valve = WatermarkValve(3)
    assert valve.watermark(0, Watermark(10)) == []
    assert valve.watermark(1, Watermark(5)) == []
    assert valve.watermark(2, Watermark(7)) == [Watermark(5)]
    assert valve.watermark(1, Watermark(20)) == [Watermark(7)]
    assert valve.watermark_ms == 7


def test_rule_1_forwarded_only_when_it_grows() -> None:
    valve = WatermarkValve(1)
    assert valve.watermark(0, Watermark(5)) == [Watermark(5)]
    assert valve.watermark(0, Watermark(5)) == []
    assert valve.watermark(0, Watermark(3)) == []


def test_rule_3_an_idle_channel_leaves_the_minimum() -> None:
    """[T3]"""
    valve = WatermarkValve(2)
    valve.watermark(0, Watermark(10))
    assert valve.status(1, _IDLE) == [Watermark(10)]
    assert valve.watermark(0, Watermark(11)) == [Watermark(11)]


def test_rule_3_all_idle_flushes_the_largest_watermark_then_turns_idle() -> None:
    valve = WatermarkValve(2)
    valve.watermark(0, Watermark(10))
    valve.watermark(1, Watermark(5))
    assert valve.status(0, _IDLE) == []  # the one behind still counts
    assert valve.status(1, _IDLE) == [Watermark(10), _IDLE]
    assert valve.is_idle
    assert valve.watermark(0, Watermark(99)) == []  # of an idle channel
    assert valve.status(0, _ACTIVE) == [_ACTIVE]


def test_rule_3_no_flush_when_the_last_active_channel_was_ahead() -> None:
    valve = WatermarkValve(2)
    valve.watermark(0, Watermark(5))
    valve.watermark(1, Watermark(10))
    assert valve.status(0, _IDLE) == [Watermark(10)]
    assert valve.status(1, _IDLE) == [_IDLE]


def test_rule_3_a_channel_that_returns_with_an_older_watermark_stays_out_until_it_has_caught_up() -> None:
    valve = WatermarkValve(2)
    valve.status(1, _IDLE)
    assert valve.watermark(0, Watermark(10)) == [Watermark(10)]
    assert valve.status(1, _ACTIVE) == []
    assert valve.watermark(1, Watermark(4)) == []
    assert valve.watermark(0, Watermark(15)) == [Watermark(15)]  # not held back by channel 1
    assert valve.watermark(1, Watermark(15)) == []  # caught up: holds back from now on
    assert valve.watermark(0, Watermark(20)) == []
    assert valve.watermark(1, Watermark(18)) == [Watermark(18)]


def test_a_status_that_changes_nothing_is_ignored() -> None:
    valve = WatermarkValve(2)
    assert valve.status(0, _ACTIVE) == []
    valve.status(0, _IDLE)
    assert valve.status(0, _IDLE) == []


def test_rule_8_the_last_watermark_passes_idle_channels() -> None:
    valve = WatermarkValve(2)
    valve.status(0, _IDLE)
    valve.status(1, _IDLE)
    assert valve.watermark(0, MAX_WATERMARK) == [_ACTIVE, MAX_WATERMARK]
    assert valve.watermark(1, MAX_WATERMARK) == []
