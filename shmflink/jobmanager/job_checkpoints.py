"""The checkpoints of one job, over all its attempts: performs what the coordinator asks for, keeps the restore points.

The coordinator decides; here are the clock, the disk and the messages. What waits for the disk runs in a thread of the
event loop's executor; its result comes back as an event.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from shmflink.checkpoint.coordinator import CheckpointCoordinator
from shmflink.checkpoint.events import (
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    CheckpointRequested,
    Declined,
    Discard,
    Drain,
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
from shmflink.checkpoint.events import TaskEnding as TaskIsEnding
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID, CheckpointLocation
from shmflink.checkpoint.manifest import CHECKPOINT, SAVEPOINT, Manifest
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import Clock
from shmflink.core.elements import BARRIER_SAVEPOINT, BARRIER_UNALIGNED, Barrier
from shmflink.core.ids import SubtaskId
from shmflink.errors import CheckpointError
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmanager.attempt_run import AttemptRun
from shmflink.jobmanager.job_loop import JobLoop
from shmflink.jobmanager.manifests import operators_of
from shmflink.jobmanager.restore_points import RestorePoints
from shmflink.jobmanager.splits import SplitServer
from shmflink.rpc.messages import (
    CheckpointAborted,
    CheckpointAcknowledged,
    CheckpointCompleted,
    CheckpointDeclined,
    CheckpointSummary,
    DrainSources,
    Failure,
    TaskEnding,
    TaskStateChanged,
    TriggerCheckpoint,
)

__all__ = ["JobCheckpoints"]

_LOG: Final = logging.getLogger(__name__)

Answer = Callable[[str | Failure], None]


@dataclass(slots=True)
class _UnderWay:
    """What is known of a checkpoint from its trigger until it is over."""

    location: CheckpointLocation
    barrier: Barrier
    epoch: int
    stops: bool
    enumerators: Mapping[int, bytes]
    manifest: Manifest | None = None
    is_kept: bool = field(default=False)


class JobCheckpoints:
    """Used by the event loop alone. `changed` is called when what the job would restart from is another one."""

    def __init__(
        self,
        graph: JobGraph,
        settings: CheckpointSettings,
        points: RestorePoints,
        loop: JobLoop,
        clock: Clock,
        changed: Callable[[], None],
    ) -> None:
        self._graph = graph
        self._settings = settings
        self._points = points
        self._loop = loop
        self._clock = clock
        self._changed = changed
        tasks = [SubtaskId(v.index, i) for v in graph.vertices for i in range(v.parallelism)]
        self._coordinator = CheckpointCoordinator(settings, tasks, points.next_id, self._name_of)
        self._attempts: Sequence[AttemptRun] = ()
        self._splits: SplitServer | None = None
        self._under_way: dict[int, _UnderWay] = {}
        self._answers: dict[int, Answer] = {}
        self._requests = 0
        self._timer: asyncio.TimerHandle | None = None
        self._completed_ms = 0
        self._is_closed = False
        self._when_stored: list[Callable[[], None]] = []

    def _name_of(self, task: SubtaskId) -> str:
        vertex = self._graph.vertices[task.vertex]
        calls = [call for attempt in self._attempts if (call := attempt.slow_call_of(task))]
        return f"'{vertex.name}' ({task.subtask + 1}/{vertex.parallelism})" + "".join(f", {call}" for call in calls)

    # --- the life of the job ---

    def attempt_started(self, attempts: Sequence[AttemptRun], splits: SplitServer, restored_id: int | None) -> None:
        """All tasks of all regions run, or have finished; messages go to these attempts from now on."""
        self._attempts = attempts
        self._splits = splits
        self._handle(AttemptStarted(None, restored_id))

    def attempt_ended(self, reason: str) -> None:
        """Some tasks fail, are cancelled or are over."""
        self._handle(AttemptEnded(reason))

    def when_stored(self, callback: Callable[[], None]) -> None:
        """Called once, when no metadata file is being written any more."""
        self._when_stored.append(callback)

    @property
    def is_storing(self) -> bool:
        """The next attempt waits: what is being stored may be what it begins from."""
        return self._coordinator.is_storing

    def message(self, message: object) -> None:
        """What tasks of the attempt say."""
        match message:
            case CheckpointAcknowledged(_, subtask, number, states, sync_ns, async_ns, alignment_ns, size):
                self._points.acknowledge(number, states)
                self._handle(Acknowledged(subtask, number, states, sync_ns, async_ns, alignment_ns, size))
            case CheckpointDeclined(_, subtask, number, failure):
                self._handle(Declined(subtask, number, failure.message))
            case TaskEnding(_, subtask):
                self._handle(TaskIsEnding(subtask))
            case TaskStateChanged(_, subtask):
                self._handle(TaskFinished(subtask))

    def close(self) -> None:
        """The job is over: nothing is triggered any more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    # --- requests ---

    def savepoint(self, target: str, *, stops: bool, drains: bool, answer: Answer) -> None:
        """`answer` gets the path or why there is none."""
        folder = target or self._settings.savepoint_directory
        if folder is None:
            answer(_refused("name a folder for the savepoint, or set execution.checkpointing.savepoint-dir"))
            return
        self._handle(SavepointRequested(self._ask(answer), folder, stops, drains))

    def checkpoint(self, answer: Answer) -> None:
        """As soon as one may be triggered."""
        if self._points.storage_problem is not None:
            answer(_refused(self._points.storage_problem))
            return
        self._handle(CheckpointRequested(self._ask(answer)))

    def summary(self) -> CheckpointSummary | None:
        """For people; None where checkpointing is off and nothing was written."""
        counts, last = self._coordinator.counts, self._coordinator.last_completed
        if self._settings.interval_ms is None and not counts.triggered:
            return None
        if last is None:
            return CheckpointSummary(counts.completed, counts.failed, counts.in_progress)
        return CheckpointSummary(
            counts.completed,
            counts.failed,
            counts.in_progress,
            last.checkpoint_id,
            last.path,
            self._now_ms() - self._completed_ms,
            last.duration_ms,
            last.bytes_all,
        )

    def waits_for(self) -> tuple[str, ...]:
        """A sentence for each checkpoint and savepoint under way."""
        return self._coordinator.waits_for()

    def _ask(self, answer: Answer) -> int:
        self._requests += 1
        request_id = self._requests
        self._answers[request_id] = answer
        return request_id

    # --- effects ---

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // 1_000_000

    def _handle(self, event: Event) -> None:
        if self._is_closed and not isinstance(event, (Stored, StoreFailed, AttemptEnded)):
            return
        effects = self._coordinator.handle(event, self._now_ms())
        if isinstance(event, (Declined, StoreFailed, Tick)):
            self._warn_of_failures(effects)
        for effect in effects:
            self._perform(effect)
        self._arm()
        if self._when_stored and not self.is_storing:
            callbacks, self._when_stored = self._when_stored, []
            for callback in callbacks:
                callback()

    def _warn_of_failures(self, effects: Sequence[Effect]) -> None:
        """A failure that fails the job is its restart's cause; one that somebody waits for is that one's answer."""
        if any(isinstance(effect, (FailJob, RequestDone)) for effect in effects):
            return
        for effect in effects:
            if isinstance(effect, NotifyAborted):
                name = self._graph.name
                _LOG.warning("checkpoint %d of job '%s' failed: %s", effect.checkpoint_id, name, effect.reason)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ms = None if self._is_closed else self._coordinator.next_deadline_ms()
        if due_ms is not None:
            delay_s = max(due_ms - self._now_ms(), 0) / 1000
            self._timer = self._loop.call_later(delay_s, self._handle, Tick())

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Trigger():
                self._trigger(effect)
            case SwitchToUnaligned(number):
                under_way = self._under_way[number]
                barrier = Barrier(number, under_way.barrier.timestamp_ms, BARRIER_UNALIGNED)
                self._tell(lambda epoch: TriggerCheckpoint(epoch, barrier, under_way.location, under_way.stops))
            case Store():
                self._store(effect)
            case NotifyCompleted(number, stops):
                self._completed(number, stops=stops)
            case NotifyAborted(number, reason):
                _LOG.info("checkpoint %d of job %s is given up: %s", number, self._graph.name, reason)
                self._tell(lambda epoch: CheckpointAborted(epoch, number))
            case Discard(number):
                self._discard(number)
            case FailJob(reason):
                for attempt in self._attempts:
                    self._loop.call_soon(attempt.fail, Failure("CheckpointError", reason))
            case RequestDone(request_id, path, reason):
                answer = self._answers.pop(request_id)
                answer(path if path is not None else _refused(reason or ""))
            case Drain():
                self._tell(DrainSources)

    def _tell(self, message_of: Callable[[int], object]) -> None:
        """To all TaskManagers of all regions that run, each with its epoch."""
        for attempt in self._attempts:
            attempt.tell_all(message_of(attempt.epoch))

    def _trigger(self, trigger: Trigger) -> None:
        number = trigger.checkpoint_id
        assert self._splits is not None, "a checkpoint without an attempt"
        try:
            if trigger.barrier_kind == BARRIER_SAVEPOINT:
                location = self._points.prepare_savepoint(trigger.target or "", os.urandom(6).hex())
            else:
                location = self._points.prepare(number)
            enumerators = self._splits.snapshot(number)
        except Exception as error:  # an enumerator is user code
            reason = str(error) if isinstance(error, CheckpointError) else f"{type(error).__name__}: {error}"
            self._loop.call_soon(self._handle, Declined(None, number, reason))
            return
        barrier = Barrier(number, self._clock.processing_time_ms(), trigger.barrier_kind)
        epoch = max(attempt.epoch for attempt in self._attempts)
        self._under_way[number] = _UnderWay(location, barrier, epoch, trigger.stops, enumerators)
        self._tell(lambda epoch: TriggerCheckpoint(epoch, barrier, location, trigger.stops))

    def _store(self, store: Store) -> None:
        under_way = self._under_way[store.checkpoint_id]

        def write() -> Manifest:
            manifest = Manifest(
                store.checkpoint_id,
                self._graph.job_id.hex,
                self._graph.name,
                under_way.barrier.timestamp_ms,
                SAVEPOINT if store.is_savepoint else CHECKPOINT,
                operators_of(self._graph, store, under_way.enumerators, under_way.location, under_way.epoch),
                any(state.channels for states in store.states.values() for state in states),
            )
            self._points.complete(under_way.location, manifest)
            return manifest

        self._loop.in_thread(write, lambda done: self._written(store.checkpoint_id, done))

    def _written(self, number: int, done: asyncio.Future[Manifest]) -> None:
        error = done.exception()
        if error is not None:
            self._handle(StoreFailed(number, str(error)))
            return
        under_way = self._under_way[number]
        under_way.manifest = done.result()
        directory = under_way.location.directory
        if under_way.stops or not under_way.barrier.is_savepoint:
            self._points.add(directory, under_way.manifest)
            under_way.is_kept = True
            self._completed_ms = self._now_ms()
            self._changed()
        else:
            del self._under_way[number]
        self._handle(Stored(number, directory))
        self._under_way.pop(number, None)
        self._clean(self._points.take_deletions())

    def _completed(self, number: int, *, stops: bool) -> None:
        self._tell(lambda epoch: CheckpointCompleted(epoch, number, stops))
        if number != FINAL_CHECKPOINT_ID and self._splits is not None:
            self._splits.checkpoint_completed(self._points.oldest_id)

    def _discard(self, number: int) -> None:
        under_way = self._under_way.pop(number, None)
        if under_way is None:
            return
        if under_way.is_kept:
            self._points.forget(under_way.location.directory)
            self._changed()
        self._clean([lambda: self._points.discard(under_way.location)])

    def _clean(self, actions: Sequence[Callable[[], Any]]) -> None:
        """In another thread, one after the other; what cannot be removed is told and left."""
        for action in actions:
            self._loop.in_thread(partial(_quietly, action))


def _quietly(action: Callable[[], Any]) -> None:
    try:
        action()
    except (CheckpointError, OSError) as error:
        _LOG.warning("%s", error)


def _refused(reason: str) -> Failure:
    return Failure("CheckpointError", reason)
