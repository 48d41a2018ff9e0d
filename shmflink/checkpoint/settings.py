"""The checkpoint settings in a job's configuration, as plain data."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final

from shmflink.config import checkpoint_options as options
from shmflink.config.options import RUNTIME_MODE
from shmflink.core.lazy_dataclass import dataclass
from shmflink.errors import ConfigurationError

__all__ = ["CheckpointSettings", "default_directory", "local_directory"]

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Validated. Times in ms; `interval_ms` None: no periodic checkpoints (savepoints are still possible).

    `aligned_timeout_ms` is None for aligned checkpoints, 0 for those that begin unaligned, otherwise the time after
    which an aligned checkpoint becomes unaligned. `directory` and `savepoint_directory` are local paths, None if not
    set: then use `default_directory`.
    """

    interval_ms: int | None = None
    is_exactly_once: bool = True
    timeout_ms: int = 600_000
    min_pause_ms: int = 0
    max_concurrent: int = 1
    tolerable_failures: int = 0
    aligned_timeout_ms: int | None = None
    after_tasks_finish: bool = True
    history: int = 10
    directory: str | None = None
    savepoint_directory: str | None = None
    num_retained: int = 1
    retain_on_cancellation: bool = False
    retain_on_failure: bool = False
    is_incremental: bool = True
    inline_bytes: int = 20 * 1024
    compression: str = ""
    recovery_path: str | None = None
    claims_recovery_path: bool = False
    ignores_unclaimed_state: bool = False
    trusts_pickled_state: bool = False

    @property
    def has_final_checkpoint(self) -> bool:
        """Whether tasks that end with committables wait for one more checkpoint; otherwise for the job's end."""
        return self.interval_ms is not None and self.after_tasks_finish

    @staticmethod
    def of(configuration: Mapping[str, str]) -> CheckpointSettings:
        """Raises ConfigurationError if options contradict each other. Warns where Flink warns."""
        retention = options.EXTERNALIZED_RETENTION.read(configuration)
        is_exactly_once = options.CHECKPOINTING_MODE.read(configuration) == "EXACTLY_ONCE"
        max_concurrent = options.MAX_CONCURRENT_CHECKPOINTS.read(configuration)
        recovery = options.RECOVERY_PATH.read(configuration)
        return CheckpointSettings(
            interval_ms=_interval(configuration),
            is_exactly_once=is_exactly_once,
            timeout_ms=options.CHECKPOINTING_TIMEOUT.read(configuration),
            min_pause_ms=options.MIN_PAUSE.read(configuration),
            max_concurrent=max_concurrent,
            tolerable_failures=options.TOLERABLE_FAILED_CHECKPOINTS.read(configuration),
            aligned_timeout_ms=_aligned_timeout(configuration, is_exactly_once, max_concurrent),
            after_tasks_finish=options.CHECKPOINTS_AFTER_TASKS_FINISH.read(configuration),
            history=options.CHECKPOINTS_HISTORY.read(configuration),
            directory=_directory(options.CHECKPOINT_DIRECTORY.key, options.CHECKPOINT_DIRECTORY.read(configuration)),
            savepoint_directory=_directory(
                options.SAVEPOINT_DIRECTORY.key, options.SAVEPOINT_DIRECTORY.read(configuration)
            ),
            num_retained=options.NUM_RETAINED.read(configuration),
            retain_on_cancellation=retention == "RETAIN_ON_CANCELLATION",
            retain_on_failure=retention != "NO_EXTERNALIZED_CHECKPOINTS",
            is_incremental=options.INCREMENTAL.read(configuration),
            inline_bytes=options.DATA_INLINE_THRESHOLD.read(configuration),
            compression="lz4" if options.SNAPSHOT_COMPRESSION.read(configuration) else "",
            recovery_path=_directory(options.RECOVERY_PATH.key, recovery),
            claims_recovery_path=options.RECOVERY_CLAIM_MODE.read(configuration) == "CLAIM",
            ignores_unclaimed_state=options.RECOVERY_IGNORES_UNCLAIMED.read(configuration),
            trusts_pickled_state=options.RECOVERY_TRUSTS_PICKLED.read(configuration),
        )


def default_directory(environment: Mapping[str, str]) -> str:
    """The folder of checkpoints if `execution.checkpointing.dir` is not set: in the user's state folder (XDG)."""
    home = environment.get("HOME") or os.path.expanduser("~")
    state = environment.get("XDG_STATE_HOME", "")
    base = state if os.path.isabs(state) else os.path.join(home, ".local", "state")
    return os.path.join(base, "shmflink", "checkpoints")


def local_directory(text: str, option: str) -> str:
    """The path of `/a/b` or `file:///a/b`; ConfigurationError for a relative one and for other file systems."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme.lower() != "file":
        raise ConfigurationError(f"{option}: '{text}': checkpoints are written to local folders, not to {scheme}://")
    path = rest if separator else text.removeprefix("file:")
    if not os.path.isabs(path):
        raise ConfigurationError(
            f"{option}: '{text}' is not an absolute path; it must be, because processes may have other working folders"
        )
    return os.path.normpath(path)


def _directory(option: str, text: str | None) -> str | None:
    return local_directory(text, option) if text else None


def _interval(configuration: Mapping[str, str]) -> int | None:
    interval_ms = options.CHECKPOINT_INTERVAL.read(configuration)
    if interval_ms is not None and RUNTIME_MODE.read(configuration) == "BATCH":
        _LOG.warning("%s is ignored: a job in BATCH mode starts again from its input", options.CHECKPOINT_INTERVAL.key)
        return None
    return interval_ms


def _aligned_timeout(configuration: Mapping[str, str], is_exactly_once: bool, max_concurrent: int) -> int | None:
    if not options.UNALIGNED.read(configuration):
        return None
    if not is_exactly_once:
        _LOG.warning("%s is ignored: it needs %s", options.UNALIGNED.key, "EXACTLY_ONCE")
        return None
    if max_concurrent > 1:
        raise ConfigurationError(
            f"{options.MAX_CONCURRENT_CHECKPOINTS.key} = {max_concurrent} cannot be combined with "
            f"{options.UNALIGNED.key}: use 1, or aligned checkpoints"
        )
    return options.ALIGNED_CHECKPOINT_TIMEOUT.read(configuration)
