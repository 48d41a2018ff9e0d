"""Notes in a checkpoint's folder: which subtasks of which sinks have committed the checkpoint's content.

A sink commits after its checkpoint is complete, so the checkpoint itself cannot say whether the sink did. A committed
file may be moved away before the checkpoint is restored; the note distinguishes it from a lost one. A note is an empty
file, `<operator>-<subtask>.committed`, in the checkpoint's folder. It is not synced: without it, the sink looks for its
staged files.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Final

__all__ = ["NOTE_NAME", "note_commit", "noted_commits"]

_SUFFIX: Final = ".committed"
NOTE_NAME: Final = re.compile(r"(?P<operator>[0-9a-zA-Z_]+)-(?P<subtask>\d+)\.committed")


def note_commit(directory: str, operator_id: str, subtask: int) -> None:
    """Notes that the subtask has committed everything in this checkpoint. Does nothing if the folder is gone or
    read-only.
    """
    with suppress(OSError):
        path = os.path.join(directory, f"{operator_id}-{subtask}{_SUFFIX}")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def noted_commits(directory: str, operator_id: str) -> frozenset[int]:
    """The subtasks of an operator that have committed the content of the checkpoint in this folder."""
    try:
        names = os.listdir(directory)
    except OSError:
        return frozenset()
    matches = [NOTE_NAME.fullmatch(name) for name in names]
    return frozenset(int(match["subtask"]) for match in matches if match and match["operator"] == operator_id)
