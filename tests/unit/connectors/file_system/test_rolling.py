from __future__ import annotations

import pytest

from shmflink.connectors.file_system.rolling import RollingPolicy
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
