"""Where checkpoints are kept (PyFlink: `pyflink.datastream.checkpoint_storage`).

As in PyFlink 2, no method accepts these objects: the options `execution.checkpointing.storage` and
`execution.checkpointing.dir` decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from shmflink.absent import names_absent

__all__ = ["CheckpointStorage", "FileSystemCheckpointStorage", "JobManagerCheckpointStorage"]

if not TYPE_CHECKING:
    __getattr__ = names_absent(__name__)


class CheckpointStorage:
    """A place for checkpoints."""


class JobManagerCheckpointStorage(CheckpointStorage):
    """No folder is set. Flink keeps checkpoints in its JobManager's memory; shmflink keeps them in the user's state
    folder.
    """

    DEFAULT_MAX_STATE_SIZE: ClassVar = 5 * 1024 * 1024

    def __init__(self, checkpoint_path: str | None = None, max_state_size: int | None = None) -> None:
        self._path = checkpoint_path
        self._max_state_size = self.DEFAULT_MAX_STATE_SIZE if max_state_size is None else max_state_size

    def get_checkpoint_path(self) -> str | None:
        return self._path

    def get_max_state_size(self) -> int:
        """The limit that Flink would apply; shmflink has none."""
        return self._max_state_size

    def get_savepoint_path(self) -> str | None:
        """Always None: `execution.checkpointing.savepoint-dir` decides."""
        return None

    def __str__(self) -> str:
        return f"JobManagerCheckpointStorage(checkpoints to: {self._path!r}, max state size: {self._max_state_size})"


class FileSystemCheckpointStorage(CheckpointStorage):
    """A folder."""

    MAX_FILE_STATE_THRESHOLD: ClassVar = 1024 * 1024

    def __init__(
        self,
        checkpoint_path: str | None = None,
        file_state_size_threshold: int | None = None,
        write_buffer_size: int = -1,
    ) -> None:
        """`checkpoint_path`: `/a/b`, `file:/a/b` or `file:///a/b`; a slash at its end has no effect.
        `file_state_size_threshold`: smaller state goes into the metadata file; None = as configured."""
        if checkpoint_path is None:
            raise ValueError("checkpoint_path must not be None")
        threshold = -1 if file_state_size_threshold is None else file_state_size_threshold
        if not -1 <= threshold <= self.MAX_FILE_STATE_THRESHOLD:
            raise ValueError(f"file_state_size_threshold: -1 to {self.MAX_FILE_STATE_THRESHOLD}, got {threshold}")
        self._path = checkpoint_path.rstrip("/") or "/"
        self._threshold = threshold
        self._write_buffer_size = write_buffer_size

    def get_checkpoint_path(self) -> str:
        return self._path

    def get_savepoint_path(self) -> str | None:
        """Always None: `execution.checkpointing.savepoint-dir` decides."""
        return None

    def get_min_file_size_threshold(self) -> int:
        """In bytes; Flink's default if none was given."""
        return 20 * 1024 if self._threshold < 0 else self._threshold

    def get_write_buffer_size(self) -> int:
        """In bytes; Flink's default if none was given. Has no effect: shmflink writes each file in one piece."""
        return 4096 if self._write_buffer_size < 0 else self._write_buffer_size

    def __str__(self) -> str:
        return f"FileSystemCheckpointStorage(checkpoints to: {self._path!r}, threshold: {self._threshold})"
