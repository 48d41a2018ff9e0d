"""Methods of the environment for checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shmflink.config.checkpoint_options import SAVEPOINT_DIRECTORY
from shmflink.config.flink_options import STATE_CHANGELOG_KEY
from shmflink.datastream.checkpoint_config import CheckpointConfig

if TYPE_CHECKING:
    from typing import Self

    from shmflink.config.configuration import Configuration
    from shmflink.datastream.checkpointing_mode import CheckpointingMode

__all__ = ["CheckpointMethods"]


class CheckpointMethods:
    """Part of StreamExecutionEnvironment."""

    _configuration: Configuration

    def get_checkpoint_config(self) -> CheckpointConfig:
        """Settings of the checkpoints; a view of this environment's configuration."""
        return CheckpointConfig(self._configuration)

    def enable_checkpointing(self, interval: int, mode: CheckpointingMode | None = None) -> Self:
        """Triggers a checkpoint every `interval` ms, at least 10; after a failure the job resumes from the last one."""
        config = self.get_checkpoint_config().set_checkpoint_interval(interval)
        if mode is not None:
            config.set_checkpointing_mode(mode)
        return self

    def get_checkpoint_interval(self) -> int:
        """Milliseconds; -1 = no periodic checkpoints."""
        return self.get_checkpoint_config().get_checkpoint_interval()

    def get_checkpointing_mode(self) -> CheckpointingMode:
        return self.get_checkpoint_config().get_checkpointing_mode()

    def get_checkpointing_consistency_mode(self) -> CheckpointingMode:
        """The newer name of `get_checkpointing_mode`."""
        return self.get_checkpointing_mode()

    def is_unaligned_checkpoints_enabled(self) -> bool:
        return self.get_checkpoint_config().is_unaligned_checkpoints_enabled()

    def is_force_unaligned_checkpoints(self) -> bool:
        return self.get_checkpoint_config().is_force_unaligned_checkpoints()

    def set_default_savepoint_directory(self, directory: str) -> Self:
        """The folder for savepoints whose request names none."""
        self._configuration.set_string(SAVEPOINT_DIRECTORY.key, directory)
        return self

    def get_default_savepoint_directory(self) -> str | None:
        directory: str | None = SAVEPOINT_DIRECTORY.read(self._configuration.to_dict())
        return directory

    def enable_changelog_state_backend(self, enabled: bool) -> Self:
        """Accepted for compatibility with Flink; has no effect: checkpoints always contain only the changes."""
        self._configuration.set_boolean(STATE_CHANGELOG_KEY, enabled)
        return self

    def is_changelog_state_backend_enabled(self) -> bool | None:
        """The value that was set; None if none was."""
        if not self._configuration.contains_key(STATE_CHANGELOG_KEY):
            return None
        return self._configuration.get_boolean(STATE_CHANGELOG_KEY, False)
