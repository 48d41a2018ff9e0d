"""Splits that are read concurrently: their combined watermark, and when all are idle."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Duration, WatermarkStrategy
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS, Watermark, WatermarkStatus
from shmflink.core.watermark_strategy import WatermarkGenerator, WatermarkOutput
from shmflink.operators.time.split_watermarks import SplitWatermarks
from shmflink.testing import ManualClock

IDLE, ACTIVE = WatermarkStatus(idle=True), WatermarkStatus(idle=False)


class Story:
    """What is emitted, step by step, with a bound of zero."""

    def __init__(self, *splits: str, idle_ms: int = 0, strategy: WatermarkStrategy | None = None) -> None:
        self.clock = ManualClock()
        strategy = strategy or WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(0))
        if idle_ms:
            strategy = strategy.with_idleness(Duration.of_millis(idle_ms))
        self.watermarks = SplitWatermarks(strategy, self.clock)
        for split in splits:
            self.watermarks.add(split, MIN_TIMESTAMP_MS)

    def rows(self, split: str, *stamps: int) -> list[Any]:
        batch = Batch.of_rows(list(stamps), timestamps=pa.array(stamps, pa.int64()))
        passed = list(self.watermarks.through(split, batch))
        assert [at for element in passed if isinstance(element, Batch) for at in element.rows()] == list(stamps)
        return [element for element in passed if not isinstance(element, Batch)] + self.periodic()

    def periodic(self, ms: int = 0, paused: frozenset[str] = frozenset()) -> list[Any]:
        self.clock.advance_ms(ms)
        self.watermarks.on_periodic(paused)
        return list(self.watermarks.drain())


def test_the_slowest_split_says_how_far_event_time_is() -> None:
    story = Story("a", "b")
    assert story.rows("a", 100) == []
    assert story.rows("b", 10) == [Watermark(9)]
    assert story.rows("b", 200) == [Watermark(99)]


def test_a_split_that_ends_holds_nothing_back() -> None:
    story = Story("a", "b")
    story.rows("a", 100)
    story.watermarks.end("b")
    assert list(story.watermarks.drain()) == [Watermark(99)]


def test_a_split_that_comes_later_holds_event_time_where_it_is() -> None:
    story = Story("a")
    assert story.rows("a", 100) == [Watermark(99)]
    story.watermarks.add("b", 50)
    assert story.rows("a", 200) == []
    assert story.rows("b", 150) == [Watermark(149)]


def test_an_idle_split_is_not_waited_for_until_it_has_rows_again() -> None:
    story = Story("a", "b", idle_ms=1000)
    story.rows("a", 100)
    story.periodic(600)
    assert story.rows("a", 101) == []
    assert story.periodic(600) == []  # `b` has been silent since the first interval without rows
    assert story.rows("a", 102) == []
    assert story.periodic(600) == [Watermark(101)]
    assert story.rows("b", 50) == []  # it is late, and event time does not go back
    assert story.rows("a", 300) == []
    assert story.rows("b", 200) == [Watermark(199)]


def test_the_source_is_idle_when_all_its_splits_are() -> None:
    story = Story("a", "b", idle_ms=1000)
    story.rows("a", 100)
    story.rows("b", 100)
    seen = [element for _ in range(4) for element in story.periodic(1001)]
    assert seen == [IDLE]
    assert story.rows("b", 200) == [ACTIVE, Watermark(199)]


def test_a_reader_without_splits_turns_idle_and_a_split_wakes_it() -> None:
    story = Story(idle_ms=1000)
    assert [element for _ in range(3) for element in story.periodic(1001)] == [IDLE]
    story.watermarks.add("a", MIN_TIMESTAMP_MS)
    assert list(story.watermarks.drain()) == [ACTIVE]


def test_a_split_that_is_paused_is_not_idle() -> None:
    story = Story("a", "b", idle_ms=1000)
    story.rows("a", 100)
    story.rows("b", 500)
    seen = [element for _ in range(4) for element in story.periodic(1001, frozenset("b"))]
    assert seen == [Watermark(499)]  # `a` is idle
    assert story.watermarks.ahead_of(300) == {"b"}


def test_a_restored_watermark_is_not_said_again() -> None:
    story = Story()
    story.watermarks.restore(100)
    story.watermarks.add("a", 80)
    assert story.watermarks.split_ms("a") == 80
    assert story.rows("a", 90) == []
    assert story.rows("a", 120) == [Watermark(119)]


class Punctuated(WatermarkGenerator):
    def on_event(self, event: Any, event_timestamp: int, output: WatermarkOutput) -> None:
        output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Told by events alone."""


def test_a_generator_of_the_users_moves_the_minimum_between_two_rows() -> None:
    strategy = WatermarkStrategy.for_generator(Punctuated)
    story = Story("a", "b", strategy=strategy)
    story.rows("a", 20)
    batch = Batch.of_rows([10, 15, 30], timestamps=pa.array([10, 15, 30], pa.int64()))
    passed = list(story.watermarks.through("b", batch))
    assert [element.rows() if isinstance(element, Batch) else element for element in passed] == [
        [10],
        Watermark(10),
        [15],
        Watermark(15),
        [30],
        Watermark(20),
    ]


@pytest.mark.parametrize("split", ["a", "unknown"])
def test_ends_may_be_said_of_any_split(split: str) -> None:
    story = Story("a")
    story.watermarks.end(split)
    assert list(story.watermarks.drain()) == []
