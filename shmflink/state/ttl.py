"""Time to live of state (`pyflink.datastream.state.StateTtlConfig`): processing time only, as in Flink."""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import Any, ClassVar

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.time_units import Duration, Time, milliseconds_of
from shmflink.errors import UsageError

__all__ = ["StateTtlConfig"]


class _UpdateType(Enum):
    """When the lifetime of an entry starts again."""

    Disabled = 0
    OnCreateAndWrite = 1
    OnReadAndWrite = 2


class _StateVisibility(Enum):
    """Whether an expired value that still exists may be returned, once."""

    ReturnExpiredIfNotCleanedUp = 0
    NeverReturnExpired = 1


class _TtlTimeCharacteristic(Enum):
    """The clock that counts."""

    ProcessingTime = 0


@dataclass(frozen=True, slots=True)
class _IncrementalCleanup:
    """Every access checks this many other entries; optionally, so does every record."""

    cleanup_size: int
    for_every_record: bool

    def get_cleanup_size(self) -> int:
        return self.cleanup_size

    def run_cleanup_for_every_record(self) -> bool:
        return self.for_every_record


@dataclass(frozen=True, slots=True)
class _CleanupStrategies:
    """How expired entries that nobody reads are removed. `incremental`: (entries checked, also for every record)."""

    in_full_snapshot: bool = False
    incremental: tuple[int, bool] | None = None
    is_cleanup_in_background: bool = True

    IncrementalCleanupStrategy: ClassVar[Any] = _IncrementalCleanup

    def get_incremental_cleanup_strategy(self) -> _IncrementalCleanup | None:
        """None if it was not chosen."""
        return None if self.incremental is None else _IncrementalCleanup(*self.incremental)

    def get_rocksdb_compact_filter_cleanup_strategy(self) -> None:
        """Always None: there is no RocksDB."""
        return


class StateTtlConfig:
    """How long state lives after it was written or read."""

    UpdateType: ClassVar[type[_UpdateType]] = _UpdateType
    StateVisibility: ClassVar[type[_StateVisibility]] = _StateVisibility
    TtlTimeCharacteristic: ClassVar[type[_TtlTimeCharacteristic]] = _TtlTimeCharacteristic
    CleanupStrategies: ClassVar[type[_CleanupStrategies]] = _CleanupStrategies

    def __init__(
        self,
        update_type: _UpdateType,
        state_visibility: _StateVisibility,
        ttl_time_characteristic: _TtlTimeCharacteristic,
        ttl: Time | Duration,
        cleanup_strategies: _CleanupStrategies,
    ) -> None:
        """Use `new_builder`."""
        self._update_type = update_type
        self._state_visibility = state_visibility
        self._ttl_time_characteristic = ttl_time_characteristic
        self._ttl = ttl
        self._cleanup_strategies = cleanup_strategies

    @staticmethod
    def new_builder(ttl: Time | Duration) -> _Builder:
        """Begins a configuration: the lifetime starts at creation and at every write; expired values are never
        returned.
        """
        return _Builder(ttl)

    Builder: ClassVar[Any]

    def get_update_type(self) -> _UpdateType:
        """When the lifetime of an entry starts again."""
        return self._update_type

    def get_state_visibility(self) -> _StateVisibility:
        """Whether an expired value that still exists may be returned, once."""
        return self._state_visibility

    def get_ttl(self) -> Time | Duration:
        """How long an entry lives."""
        return self._ttl

    def get_ttl_time_characteristic(self) -> _TtlTimeCharacteristic:
        """Always processing time."""
        return self._ttl_time_characteristic

    def is_enabled(self) -> bool:
        """False for the update type Disabled."""
        return self._update_type is not _UpdateType.Disabled

    def get_cleanup_strategies(self) -> _CleanupStrategies:
        """How expired entries that nobody reads are removed."""
        return self._cleanup_strategies

    @property
    def ttl_ms(self) -> int:
        """*shmflink only.* The time to live in milliseconds."""
        return _millis(self._ttl)

    def _identity(self) -> tuple[Any, ...]:
        return (self._update_type, self._state_visibility, self.ttl_ms, self._cleanup_strategies)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StateTtlConfig) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return f"StateTtlConfig({self.ttl_ms} ms, {self._update_type.name}, {self._state_visibility.name})"


@dataclass(slots=True)
class _Builder:
    """Builds a StateTtlConfig; every call returns the builder."""

    ttl: Time | Duration
    update_type: _UpdateType = _UpdateType.OnCreateAndWrite
    visibility: _StateVisibility = _StateVisibility.NeverReturnExpired
    characteristic: _TtlTimeCharacteristic = _TtlTimeCharacteristic.ProcessingTime
    cleanup: dict[str, Any] = field(default_factory=dict)

    def set_update_type(self, update_type: _UpdateType) -> _Builder:
        self.update_type = update_type
        return self

    def update_ttl_on_create_and_write(self) -> _Builder:
        return self.set_update_type(_UpdateType.OnCreateAndWrite)

    def update_ttl_on_read_and_write(self) -> _Builder:
        return self.set_update_type(_UpdateType.OnReadAndWrite)

    def set_state_visibility(self, state_visibility: _StateVisibility) -> _Builder:
        self.visibility = state_visibility
        return self

    def return_expired_if_not_cleaned_up(self) -> _Builder:
        return self.set_state_visibility(_StateVisibility.ReturnExpiredIfNotCleanedUp)

    def never_return_expired(self) -> _Builder:
        return self.set_state_visibility(_StateVisibility.NeverReturnExpired)

    def set_ttl_time_characteristic(self, ttl_time_characteristic: _TtlTimeCharacteristic) -> _Builder:
        self.characteristic = ttl_time_characteristic
        return self

    def use_processing_time(self) -> _Builder:
        return self.set_ttl_time_characteristic(_TtlTimeCharacteristic.ProcessingTime)

    def cleanup_full_snapshot(self) -> _Builder:
        """Omits expired entries from full snapshots."""
        self.cleanup["in_full_snapshot"] = True
        return self

    def cleanup_incrementally(self, cleanup_size: int, run_cleanup_for_every_record: bool) -> _Builder:
        """Every access checks this many other entries; with the flag, so does every record."""
        if cleanup_size < 1:
            raise UsageError(f"cleanup_incrementally(): cleanup_size must be at least 1, got {cleanup_size}")
        self.cleanup["incremental"] = (cleanup_size, run_cleanup_for_every_record)
        return self

    def cleanup_in_rocksdb_compact_filter(
        self, query_time_after_num_entries: int, periodic_compaction_time: Any = None
    ) -> _Builder:
        """There is no RocksDB: always an error.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            "cleanup_in_rocksdb_compact_filter(): there is no RocksDB here; expired entries are removed in the "
            "background, or use cleanup_incrementally()"
        )

    def disable_cleanup_in_background(self) -> _Builder:
        """Removes expired entries only when they are read, or by a strategy that was chosen."""
        self.cleanup["is_cleanup_in_background"] = False
        return self

    def set_ttl(self, ttl: Time | Duration) -> _Builder:
        self.ttl = ttl
        return self

    def build(self) -> StateTtlConfig:
        """The configuration.

        Raises:
            UsageError: the time to live is not positive.
        """
        if _millis(self.ttl) <= 0:
            raise UsageError(f"StateTtlConfig: the time to live must be positive, got {_millis(self.ttl)} ms")
        strategies = _CleanupStrategies(**self.cleanup)
        return StateTtlConfig(self.update_type, self.visibility, self.characteristic, self.ttl, strategies)


StateTtlConfig.Builder = _Builder


def _millis(ttl: Time | Duration) -> int:
    return milliseconds_of(ttl, "StateTtlConfig: the time to live")
