"""A JobManager without an event loop: the real coordinator and enumerators; the attempts of one job, one after another.

It does what `jobmanager.job_run`, `attempt_run` and `job_checkpoints` do, with messages and disk where the schedule has
them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shmflink.checkpoint.coordinator import CheckpointCoordinator
from shmflink.checkpoint.events import (
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    Declined,
    Discard,
    Effect,
    Event,
    FailJob,
    NotifyAborted,
    NotifyCompleted,
    RequestDone,
    SavepointRequested,
    Store,
    Stored,
    StoreFailed,
    SwitchToUnaligned,
    TaskFinished,
    Tick,
    Trigger,
)
from shmflink.checkpoint.events import Drain as DrainEffect
from shmflink.checkpoint.events import TaskEnding as TaskIsEnding
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID, CheckpointLocation
from shmflink.checkpoint.manifest import CHECKPOINT, Manifest
from shmflink.checkpoint.reading import coordinator_state
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import Clock
from shmflink.core.elements import BARRIER_UNALIGNED, Barrier
from shmflink.core.ids import SubtaskId
from shmflink.graph.execution_graph import ExecutionGraph, taskmanager_of
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.manifests import operators_of
from shmflink.jobmanager.splits import SplitServer
from shmflink.rpc.messages import (
    CancelTasks,
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointCompleted,
    CheckpointDeclined,
    DrainSources,
    SplitRequested,
    TaskEnding,
    TaskStateChanged,
    TriggerCheckpoint,
)
from shmflink.rpc.states import TaskState
from shmflink.testing.simulation.world import ViolationError

__all__ = ["LONG_TIMEOUT_MS", "CheckpointStore", "SimulatedJobManager"]

LONG_TIMEOUT_MS: Final = 10_000
"""No schedule takes so long: a checkpoint that does waits for something that never comes."""
_BUGS: Final = frozenset({"AssertionError", "AttributeError", "InternalError", "KeyError", "TypeError"})
"""What tasks never fail with, whatever user code and disks do."""
_INLINE_BYTES: Final = 1 << 30  # every state file stays in the manifest: nothing reaches a disk


class CheckpointStore:
    """The disk: whole manifests, in the order in which they became durable. It outlives every process."""

    def __init__(self) -> None:
        self.manifests: list[Manifest] = []
        self.completed = 0
        self.has_drained = False  # a manifest is of a drained job: windows have fired that were not over
        self.next_id = 1
        self.next_epoch = 1

    @property
    def newest(self) -> Manifest | None:
        return self.manifests[-1] if self.manifests else None


@dataclass(slots=True)
class _UnderWay:
    barrier: Barrier
    location: CheckpointLocation
    stops: bool
    enumerators: Mapping[int, bytes]


class SimulatedJobManager:
    """One life of the JobManager; it begins with an attempt that goes on from the newest checkpoint on the disk."""

    def __init__(
        self,
        graph: JobGraph,
        settings: CheckpointSettings,
        store: CheckpointStore,
        clock: Clock,
        slots_per_taskmanager: int,
    ) -> None:
        self.graph = graph
        self._settings = settings
        self._store = store
        self._clock = clock
        self._per = slots_per_taskmanager
        self.coordinator = CheckpointCoordinator(settings, [], store.next_id)
        self.outboxes: dict[int, deque[Any]] = {}  # to each TaskManager
        self.execution: ExecutionGraph | None = None
        self.epoch = 0
        self.tasks: dict[SubtaskId, TaskState] = {}
        self.is_failing = False
        self.is_stopped = False  # with a savepoint, which the next job goes on from
        self.is_drained = False  # for good, before the end of its input
        self.to_store: deque[Store] = deque()
        self.later: deque[Callable[[], None]] = deque()
        self.answers: list[RequestDone] = []
        self._under_way: dict[int, _UnderWay] = {}
        self._splits: SplitServer | None = None
        self._are_running = False
        self._open_requests: list[SubtaskId] = []
        self._restored: Manifest | None = None

    # --- attempts ---

    def begin_attempt(self, graph: JobGraph, outboxes: Mapping[int, deque[Any]]) -> None:
        """Another one, with a new epoch, from the newest checkpoint; `graph` may have another parallelism."""
        self._handle(AttemptEnded("its tasks are over"))
        self.graph = graph
        self._restored = self._store.newest
        self.epoch, self._store.next_epoch = self._store.next_epoch, self._store.next_epoch + 1
        self.execution = ExecutionGraph.build(graph, self.epoch, self.epoch, self._per)
        self.outboxes = dict(outboxes)
        self.tasks = dict.fromkeys((task.subtask for task in self.execution.tasks), TaskState.DEPLOYING)
        self.is_failing = self._are_running = self.is_drained = False
        self._open_requests.clear()
        self._splits = SplitServer.of(graph, self._restored_enumerators())
        self.later.clear()

    @property
    def restored(self) -> Manifest | None:
        """What the attempt goes on from."""
        return self._restored

    def _restored_enumerators(self) -> dict[str, bytes]:
        if self._restored is None:
            return {}
        known = [op for op in self._restored.operators if op.coordinator is not None]
        return {op.operator_id: coordinator_state("", op) for op in known}

    @property
    def is_over(self) -> bool:
        """All tasks are, and what is being stored is."""
        return all(state.is_terminal for state in self.tasks.values()) and not self.coordinator.is_storing

    @property
    def has_finished(self) -> bool:
        return all(state is TaskState.FINISHED for state in self.tasks.values())

    def fail(self) -> None:
        """Cancels what still runs. A later attempt goes on."""
        if self.is_failing:
            return
        self.is_failing = True
        self._handle(AttemptEnded("a task failed"))
        self._tell(CancelTasks(self.epoch))

    def taskmanager_lost(self, number: int) -> None:
        """Its tasks are gone. What it has sent before was read before."""
        assert self.execution is not None
        lost = [t.subtask for t in self.execution.tasks if taskmanager_of(t.slot, self._per) == number]
        if any(not self.tasks[subtask].is_terminal for subtask in lost):
            self.tasks.update({s: TaskState.FAILED for s in lost if not self.tasks[s].is_terminal})
            self.fail()
        self.outboxes.pop(number, None)

    # --- messages ---

    def handle(self, message: Any) -> None:
        """What a TaskManager says."""
        if message.epoch != self.epoch:
            return
        match message:
            case TaskStateChanged(_, subtask, state, failure):
                if failure is not None and failure.kind in _BUGS:
                    raise ViolationError(f"task {subtask}: {failure.kind}: {failure.message}")
                self._task_changed(subtask, state)
            case SplitRequested(_, subtask):
                self._open_requests.append(subtask)
                self.answer_splits()
            case CheckpointAcknowledged(_, subtask, number, states):
                self._handle(Acknowledged(subtask, number, states))
            case CheckpointDeclined(_, subtask, number, failure):
                self._handle(Declined(subtask, number, failure.message))
            case TaskEnding(_, subtask):
                self._handle(TaskIsEnding(subtask))

    def _task_changed(self, subtask: SubtaskId, state: TaskState) -> None:
        if self.tasks[subtask].is_terminal:
            return
        self.tasks[subtask] = state
        if state is TaskState.FAILED:
            self.fail()
        elif self._are_running and state is TaskState.FINISHED:
            self._handle(TaskFinished(subtask))
        elif not self._are_running and all(s in (TaskState.RUNNING, TaskState.FINISHED) for s in self.tasks.values()):
            self._are_running = True
            restored_id = None if self._restored is None else self._restored.checkpoint_id
            self._handle(AttemptStarted(tuple(self.tasks), restored_id))
            for task, known in self.tasks.items():
                if known is TaskState.FINISHED:
                    self._handle(TaskFinished(task))

    def answer_splits(self) -> bool:
        """Asks the enumerators; a request without an answer waits for the next time."""
        assert self._splits is not None
        waiting, self._open_requests = self._open_requests, []
        for subtask in waiting:
            answer = None if self.tasks[subtask].is_terminal else self._splits.answer(self.epoch, subtask)
            if answer is not None:
                self._send(subtask, answer)
            elif not self.tasks[subtask].is_terminal:
                self._open_requests.append(subtask)
        return len(self._open_requests) < len(waiting)

    def tick(self) -> bool:
        """Time has passed."""
        due_ms = self.coordinator.next_deadline_ms()
        if due_ms is None or due_ms > self._now_ms():
            return False
        self._handle(Tick())
        return True

    def request_savepoint(self, *, stops: bool, drains: bool) -> None:
        self._handle(SavepointRequested(len(self.answers), "", stops, drains))

    # --- the disk ---

    def write_next(self, *, fails: bool) -> None:
        """The next manifest becomes durable, or cannot be written."""
        store = self.to_store.popleft()
        number = store.checkpoint_id
        if fails:
            self._handle(StoreFailed(number, "no space left on the simulated disk"))
            return
        self.make_durable(store)
        self._handle(Stored(number, f"chk-{number}"))

    def make_durable(self, store: Store) -> None:
        """Without telling anybody: a crash may follow."""
        under_way = self._under_way[store.checkpoint_id]
        if store.is_savepoint and not under_way.stops:
            return
        operators = operators_of(self.graph, store, under_way.enumerators, under_way.location, self.epoch)
        number = store.checkpoint_id
        self._store.manifests.append(Manifest(number, "", "simulated", 0, CHECKPOINT, operators))
        self._store.completed += 1
        self._store.has_drained |= store.is_savepoint and self.is_drained
        self._store.manifests.sort(key=lambda manifest: manifest.checkpoint_id)

    # --- effects ---

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000

    def _handle(self, event: Event) -> None:
        for effect in self.coordinator.handle(event, self._now_ms()):
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Trigger(number, kind, _, stops):
                self._trigger(number, kind, stops)
            case SwitchToUnaligned(number):
                known = self._under_way[number]
                barrier = Barrier(number, known.barrier.timestamp_ms, BARRIER_UNALIGNED)
                self._tell(TriggerCheckpoint(self.epoch, barrier, known.location, known.stops))
            case Store():
                self.to_store.append(effect)
            case NotifyCompleted(number, stops):
                self.is_stopped |= stops
                if number != FINAL_CHECKPOINT_ID:
                    assert self._splits is not None
                    self._splits.checkpoint_completed(number)
                self._tell(CheckpointCompleted(self.epoch, number, stops))
            case NotifyAborted(number, reason):
                if reason.startswith("not complete after") and self._settings.timeout_ms >= LONG_TIMEOUT_MS:
                    raise ViolationError(f"checkpoint {number} is stuck: {reason}")
                self._tell(CheckpointAborted(self.epoch, number))
            case Discard(number):
                kept = [manifest for manifest in self._store.manifests if manifest.checkpoint_id != number]
                self._store.manifests = kept
            case FailJob():
                self.later.append(self.fail)
            case RequestDone():
                self.answers.append(effect)
            case DrainEffect():
                self.is_drained = True
                self._tell(DrainSources(self.epoch))

    def _trigger(self, number: int, kind: int, stops: bool) -> None:
        assert self._splits is not None
        self._store.next_id = number + 1
        barrier = Barrier(number, 0, kind)
        location = CheckpointLocation("", "" if barrier.is_savepoint else "shared", _INLINE_BYTES)
        self._under_way[number] = _UnderWay(barrier, location, stops, self._splits.snapshot(number))
        self._tell(TriggerCheckpoint(self.epoch, barrier, location, stops))

    def _tell(self, message: Any) -> None:
        for outbox in self.outboxes.values():
            outbox.append(message)

    def _send(self, subtask: SubtaskId, message: Any) -> None:
        assert self.execution is not None
        task = next(task for task in self.execution.tasks if task.subtask == subtask)
        number = taskmanager_of(task.slot, self._per)
        if number in self.outboxes:
            self.outboxes[number].append(message)
