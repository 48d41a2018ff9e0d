"""Finds files that sinks have staged for a checkpoint and not committed. They lie outside its folder; without them the
checkpoint cannot be restored.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from shmflink.checkpoint.commit_notes import noted_commits
from shmflink.checkpoint.manifest import Manifest, OperatorState
from shmflink.checkpoint.reading import value_of
from shmflink.connectors.file_system.writing.parts.staging import StagedFile
from shmflink.errors import ShmflinkError
from shmflink.taskmanager.sink import COMMITTABLES_STATE, WRITER_STATE

__all__ = ["lost_files"]


def lost_files(directory: str, manifest: Manifest) -> list[str]:
    """A sentence for every local file that the file sink would miss at a restore. Only the other sinks themselves can
    check what they have staged.
    """
    return [
        f"{directory}: {text}"
        for operator in manifest.operators
        for subtask in _states(directory, operator)
        for text in _lost(operator, subtask, noted_commits(directory, operator.operator_id))
    ]


def _states(directory: str, operator: OperatorState) -> Iterator[dict[str, Any]]:
    for subtask in operator.subtasks:
        if subtask.operator_state is None:
            continue
        try:
            state = value_of(directory, operator, subtask.operator_state)
        except ShmflinkError:
            # damaged (reported elsewhere), or of classes that cannot be imported here: not from a file sink
            continue
        if isinstance(state, dict):
            yield state


def _lost(operator: OperatorState, state: dict[str, Any], committed: frozenset[int]) -> Iterator[str]:
    where = f"operator '{operator.name}'"
    for owned in _elements(state, COMMITTABLES_STATE):
        staged = owned.element[1]
        if isinstance(staged, StagedFile) and owned.subtask not in committed and not _can_be_committed(staged):
            yield f"{where}: the {staged.length} bytes staged in {staged.hidden} for {staged.path} are missing"
    for owned in _elements(state, WRITER_STATE):
        part = owned.element
        if isinstance(part, StagedFile) and _is_local(part) and _size(part.hidden) < part.length:
            yield f"{where}: {part.hidden} is missing or shorter than the {part.length} bytes in the checkpoint"


def _elements(state: dict[str, Any], name: str) -> list[Any]:
    part = state.get(name)
    return [] if part is None else list(part.elements)


def _can_be_committed(staged: StagedFile) -> bool:
    """Files of other file systems are not checked. An empty file is committed even if it is missing."""
    if not _is_local(staged) or not staged.length:
        return True
    return _size(staged.hidden) >= 0 or _size(staged.path) == staged.length


def _is_local(staged: StagedFile) -> bool:
    return os.path.isabs(staged.path)


def _size(path: str) -> int:
    """The length in bytes; -1 if there is no file."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
