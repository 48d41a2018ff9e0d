from __future__ import annotations

import pytest

from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.errors import ConfigurationError


@pytest.mark.parametrize(
    ("size_bytes", "opened_ms", "written_ms", "rolls"),
    [(99, 901, 951, False), (100, 901, 951, True), (0, 900, 999, True), (0, 999, 950, True)],
)
def test_by_size_age_and_inactivity(size_bytes: int, opened_ms: int, written_ms: int, rolls: bool) -> None:
    policy = RollingPolicy.default_rolling_policy(100, 100, 50)
    assert policy.should_roll(size_bytes, opened_ms, written_ms, 1000) is rolls


def test_only_on_checkpoints() -> None:
    assert not RollingPolicy.on_checkpoint_rolling_policy().should_roll(1 << 60, 0, 0, 1 << 60)


def test_impossible_numbers() -> None:
    with pytest.raises(ConfigurationError, match="part_size=0"):
        RollingPolicy.default_rolling_policy(part_size=0)


def test_limits_as_far_as_they_are_given() -> None:
    rows = RollingPolicy.limits(part_rows=10)
    assert rows.rows_max == 10
    assert not rows.should_roll(1 << 50, 0, 0, 1 << 50)
    age = RollingPolicy.limits(age_ms=5, part_bytes=100)
    assert age.rows_max is None
    assert [age.should_roll(99, 0, 0, 4), age.should_roll(100, 0, 0, 4), age.should_roll(0, 0, 4, 5)] == [
        False,
        True,
        True,
    ]
    assert RollingPolicy.limits(inactivity_ms=5).should_roll(0, 0, 4, 9)
    with pytest.raises(ConfigurationError, match="positive sizes and intervals, got part_rows=0"):
        RollingPolicy.limits(part_rows=0)
