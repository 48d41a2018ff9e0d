"""When an output file is full (PyFlink: RollingPolicy)."""

from __future__ import annotations

from collections.abc import Mapping

from shmflink.errors import ConfigurationError

__all__ = ["DefaultRollingPolicy", "LimitsRollingPolicy", "OnCheckpointRollingPolicy", "RollingPolicy"]


class RollingPolicy:
    """Decides when to close the open part file and begin a new one. Picklable."""

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

    @staticmethod
    def limits(
        *,
        part_bytes: int | None = None,
        part_rows: int | None = None,
        age_ms: int | None = None,
        inactivity_ms: int | None = None,
    ) -> RollingPolicy:
        """*shmflink only.* Rolls when any of these limits is reached; an omitted limit does not apply.

        A part never has more than `part_rows` rows. A part exceeds `part_bytes` by at most what the format writes at
        once: a row group of Parquet, which is written early if its rows take that much memory.
        """
        return LimitsRollingPolicy(part_bytes, part_rows, age_ms, inactivity_ms)

    @property
    def rows_max(self) -> int | None:
        """The largest number of rows of a part; None without a limit."""
        return None

    @property
    def bytes_max(self) -> int | None:
        """The size at which a part is full; None without a limit."""
        return None

    @property
    def rolls_on_checkpoint(self) -> bool:
        """Whether every checkpoint closes all parts, even of formats that could resume them after a restart."""
        return False

    def should_roll(self, size_bytes: int, opened_ms: int, written_ms: int, now_ms: int) -> bool:
        """`size_bytes` is the size of the part.

        `opened_ms` and `written_ms` are the times when it was begun and last written.
        """
        return False


class OnCheckpointRollingPolicy(RollingPolicy):
    """Rolls on checkpoints only."""

    @property
    def rolls_on_checkpoint(self) -> bool:
        return True


class LimitsRollingPolicy(RollingPolicy):
    """Rolls by size, rows, age and inactivity, each only if it has a limit."""

    def __init__(
        self, part_bytes: int | None, part_rows: int | None, age_ms: int | None, inactivity_ms: int | None
    ) -> None:
        limits = {"part_bytes": part_bytes, "part_rows": part_rows, "age_ms": age_ms, "inactivity_ms": inactivity_ms}
        _check_positive(limits)
        self._bytes_max = part_bytes
        self._rows_max = part_rows
        self._age_ms = age_ms
        self._inactivity_ms = inactivity_ms

    @property
    def rows_max(self) -> int | None:
        return self._rows_max

    @property
    def bytes_max(self) -> int | None:
        return self._bytes_max

    def should_roll(self, size_bytes: int, opened_ms: int, written_ms: int, now_ms: int) -> bool:
        return (
            _reaches(size_bytes, self._bytes_max)
            or _reaches(now_ms - opened_ms, self._age_ms)
            or _reaches(now_ms - written_ms, self._inactivity_ms)
        )


class DefaultRollingPolicy(LimitsRollingPolicy):
    """Rolls by size, age and inactivity."""

    def __init__(self, part_size: int, rollover_interval: int, inactivity_interval: int) -> None:
        limits = {
            "part_size": part_size,
            "rollover_interval": rollover_interval,
            "inactivity_interval": inactivity_interval,
        }
        _check_positive(limits)
        self.limits_of_flink = limits
        super().__init__(part_size, None, rollover_interval, inactivity_interval)


def _check_positive(limits: Mapping[str, int | None]) -> None:
    if any(limit is not None and limit <= 0 for limit in limits.values()):
        given = ", ".join(f"{name}={limit}" for name, limit in limits.items() if limit is not None)
        raise ConfigurationError(f"a rolling policy needs positive sizes and intervals, got {given}")


def _reaches(value: int, limit: int | None) -> bool:
    return limit is not None and value >= limit
