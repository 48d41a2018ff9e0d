"""A checkpoint in progress: which tasks have yet to answer, and what the others have answered."""

from __future__ import annotations

import enum
from dataclasses import field

from shmflink.checkpoint.events import Acknowledged
from shmflink.checkpoint.handles import OperatorSubtaskState, StateFile
from shmflink.checkpoint.history import AcknowledgedTask, CheckpointRecord, CheckpointState
from shmflink.core.elements import BARRIER_SAVEPOINT, BARRIER_UNALIGNED
from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["CheckpointPhase", "PendingCheckpoint"]


class CheckpointPhase(enum.Enum):
    """How far a checkpoint has got."""

    IN_PROGRESS = "waits for tasks"
    STORING = "waits for its metadata file"


@dataclass(slots=True)
class PendingCheckpoint:
    """`waiting`: tasks that have neither acknowledged nor finished. `covers`: tasks that waited for it at their end."""

    checkpoint_id: int
    barrier_kind: int
    triggered_ms: int
    waiting: set[SubtaskId]
    finished: set[SubtaskId]
    covers: frozenset[SubtaskId]
    requests: tuple[int, ...] = ()
    target: str | None = None
    stops: bool = False
    phase: CheckpointPhase = CheckpointPhase.IN_PROGRESS
    states: dict[SubtaskId, tuple[OperatorSubtaskState, ...]] = field(default_factory=dict)
    latest_ack_ms: int | None = None
    bytes_written: int = 0
    bytes_all: int = 0
    bytes_in_flight: int = 0
    sync_ns: int = 0
    async_ns: int = 0
    alignment_ns: int = 0
    tasks: list[AcknowledgedTask] = field(default_factory=list)

    @property
    def is_savepoint(self) -> bool:
        return self.barrier_kind == BARRIER_SAVEPOINT

    @property
    def is_restored_from(self) -> bool:
        """Whether sinks commit for it and the job restarts from it; not true for a savepoint beside a running job."""
        return self.stops or not self.is_savepoint

    def acknowledge(self, ack: Acknowledged, now_ms: int) -> bool:
        """False if the acknowledgment adds nothing: it is late, a duplicate, or from a task that had finished."""
        if self.phase is not CheckpointPhase.IN_PROGRESS or ack.subtask not in self.waiting:
            return False
        self.waiting.discard(ack.subtask)
        self.states[ack.subtask] = ack.states
        self.latest_ack_ms = now_ms
        in_flight = sum(channel.file.length for state in ack.states for channel in state.channels)
        size = in_flight + sum(file.length for state in ack.states for file in _files_of(state))
        self.bytes_written += ack.bytes
        self.bytes_in_flight += in_flight
        self.bytes_all += size
        self.sync_ns = max(self.sync_ns, ack.sync_ns)
        self.async_ns = max(self.async_ns, ack.async_ns)
        self.alignment_ns = max(self.alignment_ns, ack.alignment_ns)
        durations = ack.sync_ns, ack.async_ns, ack.alignment_ns
        self.tasks.append(AcknowledgedTask(ack.subtask, now_ms, ack.bytes, size, in_flight, *durations))
        return True

    def finish(self, subtask: SubtaskId) -> None:
        """The task has ended without seeing the barrier: it has no state left to snapshot."""
        if self.phase is CheckpointPhase.IN_PROGRESS and subtask in self.waiting:
            self.waiting.discard(subtask)
            self.finished.add(subtask)

    def record(self, state: CheckpointState, now_ms: int, path: str = "", reason: str = "") -> CheckpointRecord:
        """The facts to report about it."""
        return CheckpointRecord(
            checkpoint_id=self.checkpoint_id,
            state=state,
            is_savepoint=self.is_savepoint,
            is_unaligned=self.barrier_kind == BARRIER_UNALIGNED,
            triggered_ms=self.triggered_ms,
            duration_ms=now_ms - self.triggered_ms,
            latest_ack_ms=self.latest_ack_ms,
            bytes_written=self.bytes_written,
            bytes_all=self.bytes_all,
            bytes_in_flight=self.bytes_in_flight,
            sync_ns_max=self.sync_ns,
            async_ns_max=self.async_ns,
            alignment_ns_max=self.alignment_ns,
            acknowledged=len(self.states),
            finished=len(self.finished),
            subtasks=len(self.states) + len(self.finished) + len(self.waiting),
            path=path,
            reason=reason,
            stops=self.stops,
            tasks=tuple(self.tasks),
        )


def _files_of(state: OperatorSubtaskState) -> list[StateFile]:
    files = [file for keyed in state.keyed for file in keyed.files]
    return files + [file for file in (state.operator_state, state.broadcast_state) if file is not None]
