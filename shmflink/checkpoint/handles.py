"""The parts of a checkpoint as plain data: who acknowledged what, and in which files it is."""

from __future__ import annotations

from typing import Final

from shmflink.core.lazy_dataclass import dataclass

__all__ = [
    "FINAL_CHECKPOINT_ID",
    "ChannelState",
    "CheckpointLocation",
    "KeyedStateHandle",
    "OperatorSubtaskState",
    "StateFile",
]

FINAL_CHECKPOINT_ID: Final = 2**62
"""Stands for the end of a job without checkpoints, when its sinks commit."""


@dataclass(frozen=True, slots=True)
class CheckpointLocation:
    """Where subtasks write a checkpoint. The JobManager creates the folders before it triggers the checkpoint.

    `directory` is the folder of this checkpoint (absolute; `<job's folder>/chk-<id>`, or a savepoint's).
    `shared_directory` is the folder of files to which several checkpoints refer, empty if there is none (savepoints).
    Files up to `inline_bytes` are sent in the acknowledgment and end up in the manifest.
    """

    directory: str
    shared_directory: str
    inline_bytes: int
    compression: str = ""


@dataclass(frozen=True, slots=True)
class StateFile:
    """One durable file, or its content (`inline`) if it is small.

    `path` is relative to the checkpoint's folder (`../shared/...` for shared ones). `crc32`: of all bytes (`zlib`).
    """

    path: str
    length: int
    crc32: int
    rows: int = 0
    inline: bytes = b""


@dataclass(frozen=True, slots=True)
class KeyedStateHandle:
    """One keyed state of one subtask: a file with all entries, then files with changes, in order.

    Key groups from `first_group` to `last_group`, both included.
    """

    name: str
    first_group: int
    last_group: int
    files: tuple[StateFile, ...]


@dataclass(frozen=True, slots=True)
class ChannelState:
    """In-flight data of one channel at an unaligned barrier: of one producing subtask, on one input edge."""

    edge: int
    producer: int
    file: StateFile


@dataclass(frozen=True, slots=True)
class OperatorSubtaskState:
    """All state of one operator in one subtask (Flink's OperatorSubtaskState).

    `operator_state` and `broadcast_state` are dicts (`core.serialization.codec.dumps_state`). `channels` belongs to the
    first operator of a chain. `is_finished`: the subtask had ended before the barrier.
    """

    operator_id: str
    subtask: int
    keyed: tuple[KeyedStateHandle, ...] = ()
    operator_state: StateFile | None = None
    broadcast_state: StateFile | None = None
    channels: tuple[ChannelState, ...] = ()
    is_finished: bool = False
