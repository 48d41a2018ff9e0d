"""Settings of a job's checkpoints (PyFlink: `pyflink.datastream.checkpoint_config`)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar

from shmflink.config import checkpoint_options as options
from shmflink.core.time_units import Duration
from shmflink.datastream.checkpointing_mode import CheckpointingMode
from shmflink.datastream.externalized_checkpoint_retention import ExternalizedCheckpointRetention
from shmflink.errors import TypeMismatchError

if TYPE_CHECKING:
    from shmflink.config.configuration import Configuration
    from shmflink.config.option import Option

__all__ = ["CheckpointConfig"]

_ANY_NUMBER: Final = 2**31 - 1
E = TypeVar("E", bound=Enum)
T = TypeVar("T")


class CheckpointConfig:
    """Reads and writes the `execution.checkpointing.*` options of a job. Times in ms.

    Wrong values raise ConfigurationError, values of wrong types TypeError.
    """

    def __init__(self, configuration: Configuration) -> None:
        """Created by an environment, not by users."""
        self._configuration = configuration

    def is_checkpointing_enabled(self) -> bool:
        """Whether there are periodic checkpoints."""
        return self.get_checkpoint_interval() > 0

    def get_checkpointing_mode(self) -> CheckpointingMode:
        return CheckpointingMode[self._get(options.CHECKPOINTING_MODE)]

    def set_checkpointing_mode(self, checkpointing_mode: CheckpointingMode) -> CheckpointConfig:
        checked = _member(CheckpointingMode, checkpointing_mode, "set_checkpointing_mode")
        return self._set(options.CHECKPOINTING_MODE, checked.name)

    def get_checkpoint_interval(self) -> int:
        """-1 = no periodic checkpoints."""
        interval_ms = self._get(options.CHECKPOINT_INTERVAL)
        return -1 if interval_ms is None else interval_ms

    def set_checkpoint_interval(self, checkpoint_interval: int) -> CheckpointConfig:
        """At least 10 ms."""
        return self._set(options.CHECKPOINT_INTERVAL, checkpoint_interval)

    def get_checkpoint_timeout(self) -> int:
        return self._get(options.CHECKPOINTING_TIMEOUT)

    def set_checkpoint_timeout(self, checkpoint_timeout: int) -> CheckpointConfig:
        """At least 10 ms."""
        return self._set(options.CHECKPOINTING_TIMEOUT, checkpoint_timeout)

    def get_min_pause_between_checkpoints(self) -> int:
        return self._get(options.MIN_PAUSE)

    def set_min_pause_between_checkpoints(self, min_pause_between_checkpoints: int) -> CheckpointConfig:
        """The least time between the completion of one checkpoint and the trigger of the next."""
        return self._set(options.MIN_PAUSE, min_pause_between_checkpoints)

    def get_max_concurrent_checkpoints(self) -> int:
        return self._get(options.MAX_CONCURRENT_CHECKPOINTS)

    def set_max_concurrent_checkpoints(self, max_concurrent_checkpoints: int) -> CheckpointConfig:
        return self._set(options.MAX_CONCURRENT_CHECKPOINTS, max_concurrent_checkpoints)

    def is_fail_on_checkpointing_errors(self) -> bool:
        """Whether the first failed checkpoint fails the job (which then restarts)."""
        return self.get_tolerable_checkpoint_failure_number() == 0

    def set_fail_on_checkpointing_errors(self, fail_on_checkpointing_errors: bool) -> CheckpointConfig:
        """True tolerates no failed checkpoint; False tolerates any number."""
        return self.set_tolerable_checkpoint_failure_number(0 if fail_on_checkpointing_errors else _ANY_NUMBER)

    def get_tolerable_checkpoint_failure_number(self) -> int:
        return self._get(options.TOLERABLE_FAILED_CHECKPOINTS)

    def set_tolerable_checkpoint_failure_number(self, tolerable_checkpoint_failure_number: int) -> CheckpointConfig:
        """How many checkpoints in a row may fail before the job fails (and restarts)."""
        return self._set(options.TOLERABLE_FAILED_CHECKPOINTS, tolerable_checkpoint_failure_number)

    def set_externalized_checkpoint_retention(
        self, retention_mode: ExternalizedCheckpointRetention
    ) -> CheckpointConfig:
        """What happens to the checkpoints when the job is canceled or has failed."""
        checked = _member(ExternalizedCheckpointRetention, retention_mode, "set_externalized_checkpoint_retention")
        return self._set(options.EXTERNALIZED_RETENTION, checked.name)

    def is_externalized_checkpoints_enabled(self) -> bool:
        """Whether checkpoints are kept after the job in at least one case."""
        none = ExternalizedCheckpointRetention.NO_EXTERNALIZED_CHECKPOINTS
        return self.get_externalized_checkpoint_retention() is not none

    def get_externalized_checkpoint_retention(self) -> ExternalizedCheckpointRetention | None:
        return ExternalizedCheckpointRetention[self._get(options.EXTERNALIZED_RETENTION)]

    def is_unaligned_checkpoints_enabled(self) -> bool:
        return self._get(options.UNALIGNED)

    def enable_unaligned_checkpoints(self, enabled: bool = True) -> CheckpointConfig:
        """Barriers overtake data, which becomes part of the checkpoint. Needs EXACTLY_ONCE and one checkpoint at a
        time.
        """
        return self._set(options.UNALIGNED, bool(enabled))

    def disable_unaligned_checkpoints(self) -> CheckpointConfig:
        return self.enable_unaligned_checkpoints(False)

    def set_aligned_checkpoint_timeout(self, alignment_timeout: Duration) -> CheckpointConfig:
        """Unaligned checkpoints begin aligned and become unaligned after this time; 0 = unaligned at once."""
        if not isinstance(alignment_timeout, Duration):
            raise TypeError(f"set_aligned_checkpoint_timeout() takes a Duration, got {alignment_timeout!r}")
        return self._set(options.ALIGNED_CHECKPOINT_TIMEOUT, alignment_timeout.to_millis())

    def get_aligned_checkpoint_timeout(self) -> Duration:
        return Duration.of_millis(self._get(options.ALIGNED_CHECKPOINT_TIMEOUT))

    def set_alignment_timeout(self, alignment_timeout: Duration) -> CheckpointConfig:
        """The older name of `set_aligned_checkpoint_timeout`."""
        return self.set_aligned_checkpoint_timeout(alignment_timeout)

    def get_alignment_timeout(self) -> Duration:
        """The older name of `get_aligned_checkpoint_timeout`."""
        return self.get_aligned_checkpoint_timeout()

    def set_force_unaligned_checkpoints(self, force_unaligned_checkpoints: bool = True) -> CheckpointConfig:
        """Accepted for compatibility with Flink; has no effect: unaligned checkpoints work for every job graph."""
        return self._set(options.UNALIGNED_FORCED, bool(force_unaligned_checkpoints))

    def is_force_unaligned_checkpoints(self) -> bool:
        return self._get(options.UNALIGNED_FORCED)

    def _get(self, option: Option[T]) -> T:
        return option.read(self._configuration.to_dict())

    def _set(self, option: Option[object], value: object) -> CheckpointConfig:
        try:
            text = option.write(value)
        except TypeError:
            raise TypeMismatchError(
                f"{option.key}: {value!r} is not of the type that this method takes; times are whole numbers, in ms"
            ) from None
        option.parse(text)  # raises the error that explains the value
        self._configuration.set_string(option.key, text)
        return self


def _member(kind: type[E], value: E, method: str) -> E:
    if not isinstance(value, kind):
        raise TypeError(f"{method}() takes a {kind.__name__}, got {value!r}")
    return value
