"""When an output file is full (PyFlink: RollingPolicy)."""

from __future__ import annotations

from shmflink.errors import ConfigurationError

__all__ = ["DefaultRollingPolicy", "OnCheckpointRollingPolicy", "RollingPolicy"]


class RollingPolicy:
    """Says before each write whether the open part file is to be closed and a new one begun."""

    @staticmethod
    def default_rolling_policy(
        part_size: int = 128 * 1024 * 1024, rollover_interval: int = 60_000, inactivity_interval: int = 60_000
    ) -> DefaultRollingPolicy:
        """Rolls by size in bytes, by age and by time since the last write, both in milliseconds."""
        return DefaultRollingPolicy(part_size, rollover_interval, inactivity_interval)

    @staticmethod
    def on_checkpoint_rolling_policy() -> OnCheckpointRollingPolicy:
        """Rolls on checkpoints only; without any, each subtask writes one file per bucket."""
        return OnCheckpointRollingPolicy()

    def should_roll(self, size_bytes: int, opened_ms: int, written_ms: int, now_ms: int) -> bool:
        """`size_bytes` is what the part holds.

        `opened_ms` and `written_ms` when it was begun and last written.
        """
        return False


class OnCheckpointRollingPolicy(RollingPolicy):
    """Rolls on checkpoints only."""


class DefaultRollingPolicy(RollingPolicy):
    """Rolls by size, age and inactivity."""

    def __init__(self, part_size: int, rollover_interval: int, inactivity_interval: int) -> None:
        if min(part_size, rollover_interval, inactivity_interval) <= 0:
            raise ConfigurationError(
                f"a rolling policy needs positive sizes and intervals, got part_size={part_size}, "
                f"rollover_interval={rollover_interval}, inactivity_interval={inactivity_interval}"
            )
        self._part_size = part_size
        self._rollover_ms = rollover_interval
        self._inactivity_ms = inactivity_interval

    def should_roll(self, size_bytes: int, opened_ms: int, written_ms: int, now_ms: int) -> bool:
        return (
            size_bytes >= self._part_size
            or now_ms - opened_ms >= self._rollover_ms
            or now_ms - written_ms >= self._inactivity_ms
        )
