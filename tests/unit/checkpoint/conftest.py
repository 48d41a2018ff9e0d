"""A small job's checkpoints, written for real, and disks that fail on purpose."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shmflink.checkpoint.file_ops import FileOps
from shmflink.checkpoint.handles import ChannelState, KeyedStateHandle, OperatorSubtaskState, StateFile
from shmflink.checkpoint.in_flight import channel_elements
from shmflink.checkpoint.manifest import CHECKPOINT, Manifest, OperatorState
from shmflink.checkpoint.reading import coordinator_state, open_checkpoint, restored_state
from shmflink.checkpoint.state_files import StateFileWriter
from shmflink.checkpoint.storage import CheckpointStorage
from shmflink.core.batch import Batch
from shmflink.core.elements import Watermark
from shmflink.core.keys.groups import range_of
from shmflink.state.operator_state import OperatorStatePart, Redistribution

JOB_ID = "ab" * 16
OPERATOR = "cd" * 16
GROUPS = 8


class Died(BaseException):
    """The process is gone: no later call has any effect."""


class FailingFileOps(FileOps):
    """Its n-th call (1 is the first) fails with `error`, or is the process's death; `calls` lists all of them."""

    def __init__(self, fails_at: int = 0, error: int | None = errno.EIO, only: str = "") -> None:
        self.calls: list[tuple[str, Any]] = []
        self._fails_at = fails_at
        self._error = error
        self._only = only
        self._is_dead = False

    @property
    def counted(self) -> int:
        return sum(not self._only or name == self._only for name, _ in self.calls)

    def _call(self, name: str, what: Any) -> bool:
        """True where the call is the one that fails."""
        if self._is_dead:
            raise Died
        self.calls.append((name, what))
        return self.counted == self._fails_at and self._only in ("", name)

    def _fail(self) -> None:
        if self._error is None:
            self._is_dead = True
            raise Died
        raise OSError(self._error, os.strerror(self._error))

    def _perform(self, name: str, *arguments: Any) -> Any:
        if self._call(name, arguments[-1] if name == "rename" else arguments[0]):
            self._fail()
        return getattr(FileOps, name)(self, *arguments)

    def write(self, fd: int, data: memoryview) -> int:
        if self._call("write", fd):
            os.write(fd, data[: len(data) // 2])  # torn
            self._fail()
        return os.write(fd, data)

    def create(self, path: str) -> int:
        return self._perform("create", path)

    def fsync(self, fd: int) -> None:
        self._perform("fsync", fd)

    def close(self, fd: int) -> None:
        if self._call("close", fd):
            os.close(fd)
            self._fail()
        os.close(fd)

    def rename(self, source: str, target: str) -> None:
        self._perform("rename", source, target)

    def unlink(self, path: str) -> None:
        self._perform("unlink", path)

    def mkdir(self, path: str) -> None:
        self._perform("mkdir", path)

    def rmdir(self, path: str) -> None:
        self._perform("rmdir", path)

    def fsync_dir(self, path: str) -> None:
        self._perform("fsync_dir", path)


@dataclass
class Keyed:
    """One entry per key group of the subtask, with `value`; changes where `is_delta`."""

    groups: range
    value: int
    is_delta: bool = False
    name: str = "count"
    outcomes: list[bool] = field(default_factory=list)

    def batches(self) -> Iterator[pa.RecordBatch]:
        groups = list(self.groups)[-1:] if self.is_delta else list(self.groups)
        columns = {
            "key_group": pa.array(groups, pa.int32()),
            "key": pa.array([f"key-{group}" for group in groups]),
            "value": pa.array([self.value] * len(groups)),
        }
        if self.is_delta:
            columns["deleted"] = pa.array([False] * len(groups))
        yield pa.record_batch(columns)

    def saved(self, is_saved: bool) -> None:
        self.outcomes.append(is_saved)


class SmallJob:
    """One operator with two subtasks and state of every kind; its keyed state grows by changes."""

    def __init__(self, storage: CheckpointStorage, epoch: int = 1) -> None:
        self.storage = storage
        self.epoch = epoch
        self.chains: dict[int, tuple[StateFile, ...]] = {}

    def checkpoint(self, checkpoint_id: int, ops: FileOps | None = None) -> str:
        """Writes and completes a whole checkpoint; returns its folder."""
        location = self.storage.prepare(checkpoint_id)
        subtasks = []
        for subtask in range(2):
            writer = StateFileWriter(location, self.epoch, checkpoint_id, ops or self.storage._ops)
            subtasks.append(self.write(writer, checkpoint_id, subtask))
            writer.sync_folders()
        return self.storage.complete(location, self.manifest(checkpoint_id, subtasks))

    def write(self, writer: StateFileWriter, value: int, subtask: int) -> OperatorSubtaskState:
        groups = range_of(subtask, GROUPS, 2)
        chain = self.chains.get(subtask, ())
        chain = (*chain, writer.write_keyed(OPERATOR, subtask, Keyed(groups, value, bool(chain)), True))
        self.chains[subtask] = chain
        part = OperatorStatePart(Redistribution.SPLIT_DISTRIBUTE, [value, subtask], "int")
        return OperatorSubtaskState(
            OPERATOR,
            subtask,
            (KeyedStateHandle("count", groups.start, groups.stop - 1, chain),),
            writer.write_value(OPERATOR, subtask, "operator", {"offsets": part}),
            writer.write_value(OPERATOR, subtask, "broadcast", {"rules": {"a": value}}),
            (
                ChannelState(
                    0, 1, writer.write_batches(OPERATOR, subtask, [Batch.of_rows([value, 2]), Watermark(value)])
                ),
            ),
        )

    def manifest(self, checkpoint_id: int, subtasks: list[OperatorSubtaskState]) -> Manifest:
        operator = OperatorState(OPERATOR, "counting", "Count", 1, 2, GROUPS, tuple(subtasks))
        return Manifest(checkpoint_id, JOB_ID, "small", 1_000 + checkpoint_id, CHECKPOINT, (operator,))


def everything_in(path: str) -> dict[str, Any]:
    """All state of a SmallJob's checkpoint, as its two subtasks would restore it."""
    manifest = open_checkpoint(path)
    found: dict[str, Any] = {"id": manifest.checkpoint_id}
    operator = manifest.operator(OPERATOR)
    assert operator is not None
    assert coordinator_state(path, operator) is None
    for subtask in range(2):
        groups = range_of(subtask, GROUPS, 2)
        state = restored_state(manifest, path, OPERATOR, subtask, 2, groups, GROUPS)
        keyed = {}
        for batch in state.read_keyed("count"):
            keyed |= dict(zip(batch["key"].to_pylist(), batch["value"].to_pylist(), strict=True))
        channels = channel_elements(manifest, path, OPERATOR, subtask, 2, groups, GROUPS, {})
        elements = [e.rows() if isinstance(e, Batch) else e for c in channels for e in c.elements]
        offsets = state.operator_state["offsets"].elements
        found[f"subtask {subtask}"] = (keyed, offsets, state.broadcast_state, elements)
    return found


def expected_of(checkpoint_id: int, first: int) -> dict[str, Any]:
    """What `everything_in` finds, where the chain began with checkpoint `first`."""
    found: dict[str, Any] = {"id": checkpoint_id}
    for subtask in range(2):
        groups = list(range_of(subtask, GROUPS, 2))
        keyed = {f"key-{group}": first for group in groups}
        keyed[f"key-{groups[-1]}"] = checkpoint_id
        elements = [[checkpoint_id, 2], Watermark(checkpoint_id)]
        found[f"subtask {subtask}"] = (keyed, [checkpoint_id, subtask], {"rules": {"a": checkpoint_id}}, elements)
    return found


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / "checkpoints")
