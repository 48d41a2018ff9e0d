"""Deletes a savepoint that nobody needs any longer (Flink: savepoint disposal)."""

from __future__ import annotations

import os

from shmflink.checkpoint.manifest import SAVEPOINT, files_of
from shmflink.checkpoint.reading import METADATA, checkpoint_directory, load_manifest
from shmflink.checkpoint.retention import is_shared
from shmflink.errors import CheckpointError

__all__ = ["dispose_savepoint"]


def dispose_savepoint(path: str) -> None:
    """Removes the files that the manifest names, and the folder if nothing else is in it. Blocks.

    Raises:
        CheckpointError: there is no savepoint, it is a job's checkpoint, or the system refuses. Nothing is removed that
            does not belong to a savepoint.
    """
    directory = checkpoint_directory(path)
    manifest = load_manifest(directory)
    if manifest.kind != SAVEPOINT:
        raise CheckpointError(f"{path} is a checkpoint: the job that wrote it removes it")
    names = [file.path for file in files_of(manifest) if not file.inline and not is_shared(file.path)]
    try:
        for name in (METADATA, *dict.fromkeys(names)):  # without its manifest the savepoint no longer exists
            if os.path.lexists(os.path.join(directory, name)):
                os.unlink(os.path.join(directory, name))
        if not os.listdir(directory):
            os.rmdir(directory)
    except OSError as error:
        raise CheckpointError(f"the savepoint {path} cannot be removed: {error.strerror or error}") from error
