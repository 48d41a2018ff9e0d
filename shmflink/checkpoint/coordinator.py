"""Decides when checkpoints begin, complete and fail: a pure state machine (Flink's CheckpointCoordinator).

::

    StartCheckpoint ─▶ all tasks Acknowledged or TaskFinished ─▶ Store ─▶ Stored ─▶ NotifyCompleted
       └─ Declined, timeout, a newer one completed, StoreFailed, AttemptEnded ─▶ NotifyAborted, Discard

It lives as long as the job, across all attempts; ids only grow. Times are ms of one monotonic clock. When an attempt
ends while a checkpoint is being stored, a restart waits for it (`is_storing`): it may be the one to restart from, and a
restart from an older one must not discard the pending commits of its tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

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
    StartCheckpoint,
    Store,
    Stored,
    StoreFailed,
    SwitchToUnaligned,
    TaskFinished,
    TaskReachedEnd,
    Tick,
)
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.checkpoint.history import CheckpointCounts, CheckpointHistory, CheckpointRecord, CheckpointState
from shmflink.checkpoint.pending import CheckpointPhase, PendingCheckpoint
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.elements import BARRIER_ALIGNED, BARRIER_SAVEPOINT, BARRIER_UNALIGNED
from shmflink.core.ids import SubtaskId
from shmflink.errors import InternalError

__all__ = ["CheckpointCoordinator"]

_NAMED_MAX: Final = 5  # tasks in a message


class CheckpointCoordinator:
    """One per job. `start_id`: the id of the first checkpoint, larger than any id the job has ever had."""

    def __init__(
        self,
        settings: CheckpointSettings,
        tasks: Sequence[SubtaskId],
        start_id: int = 1,
        name_of: Callable[[SubtaskId], str] = str,
    ) -> None:
        """`name_of` returns the name of a task for people, `'enrich → Writer' (2/2)`."""
        self._settings = settings
        self._name_of = name_of
        self._tasks = tuple(tasks)
        self._next_id = start_id
        self._pending: dict[int, PendingCheckpoint] = {}
        self._may_trigger = False
        self._is_running = False
        self._finished: set[SubtaskId] = set()
        self._ending: set[SubtaskId] = set()  # waiting for a checkpoint
        self._leaving: set[SubtaskId] = set()  # have had their checkpoint and are finishing
        self._is_final_due = False
        self._stop: SavepointRequested | None = None
        self._is_stop_saved = False
        self._waiting_savepoints: list[SavepointRequested] = []
        self._waiting_requests: list[int] = []
        self._next_ms = 0
        self._last_completed_ms: int | None = None
        self._last_completed_id = -1
        self._failures = 0
        self._history = CheckpointHistory(settings.history)
        self._now_ms = 0

    # --- queries ---

    @property
    def next_id(self) -> int:
        """The id of the next checkpoint."""
        return self._next_id

    @property
    def is_storing(self) -> bool:
        """A metadata file is being written: a restart waits for Stored or StoreFailed."""
        return any(pending.phase is CheckpointPhase.STORING for pending in self._pending.values())

    @property
    def is_stop_irrevocable(self) -> bool:
        """Tasks end before the end of their input: when some of them fail, the others must begin again, too."""
        if self._stop is None:
            return False
        is_storing = any(p.stops and p.phase is CheckpointPhase.STORING for p in self._pending.values())
        return self._stop.drains or self._is_stop_saved or is_storing

    @property
    def counts(self) -> CheckpointCounts:
        return self._history.counts

    @property
    def last_completed(self) -> CheckpointRecord | None:
        """The checkpoint from which the job would restart."""
        return self._history.last_completed

    @property
    def last_savepoint(self) -> CheckpointRecord | None:
        return self._history.last_savepoint

    @property
    def last_failed(self) -> CheckpointRecord | None:
        return self._history.last_failed

    @property
    def last_restored_id(self) -> int | None:
        return self._history.last_restored_id

    @property
    def history(self) -> tuple[CheckpointRecord, ...]:
        """Checkpoints in progress and the latest finished ones, newest first."""
        running = [p.record(CheckpointState.IN_PROGRESS, self._now_ms) for p in self._pending.values()]
        return self._history.records(running)

    def waits_for(self) -> tuple[str, ...]:
        """Sentences for people: the tasks for which each checkpoint in progress, a drain or the end after a
        savepoint waits.
        """
        sentences = [self._need_of(pending) for pending in self._pending.values()]
        if self._waiting_savepoints:
            sentences.append("a savepoint was asked for; it begins when the checkpoint under way is over")
        is_triggered = any(pending.stops for pending in self._pending.values())
        if self._stop is None or is_triggered or self._stop in self._waiting_savepoints:
            return tuple(sentences)
        if self._is_stop_saved:
            sentences.append(
                f"the savepoint is complete; tasks that have yet to end: "
                f"{self._named(set(self._tasks) - self._finished)}"
            )
        else:
            reading = set(self._tasks) - self._finished - self._ending - self._leaving
            sentences.append(
                f"the job drains before the savepoint; tasks not yet at the end of their input: {self._named(reading)}"
            )
        return tuple(sentences)

    def _need_of(self, pending: PendingCheckpoint) -> str:
        what = f"{'savepoint' if pending.is_savepoint else 'checkpoint'} {pending.checkpoint_id}"
        if pending.phase is CheckpointPhase.STORING:
            return f"all tasks have acknowledged {what}; its metadata file is being written"
        count = len(pending.waiting)
        have = f"{count} of {len(self._tasks)} tasks {'has' if count == 1 else 'have'}"
        return f"{have} not acknowledged {what}: {self._named(pending.waiting)}"

    def _named(self, tasks: Collection[SubtaskId]) -> str:
        """The names of the first few."""
        names = ", ".join(map(self._name_of, sorted(tasks)[:_NAMED_MAX]))
        return names + (f" and {len(tasks) - _NAMED_MAX} more" if len(tasks) > _NAMED_MAX else "")

    def next_deadline_ms(self) -> int | None:
        """When a Tick may have an effect; None if nothing depends on time."""
        deadlines = [due for pending in self._pending.values() for due in self._deadlines(pending)]
        periodic = self._periodic_ms()
        return min([*deadlines, *([] if periodic is None else [periodic])], default=None)

    # --- events ---

    def handle(self, event: Event, now_ms: int) -> list[Effect]:
        """The effects of `event`, to be performed in this order."""
        self._now_ms = max(now_ms, self._now_ms)
        effects = self._react(event)
        effects += self._expire()
        effects += self._stop_or_finish()
        effects += self._serve_requests()
        return effects + self._trigger_periodic()

    def _react(self, event: Event) -> list[Effect]:
        match event:
            case Tick():
                return []
            case Acknowledged():
                return self._acknowledged(event)
            case Declined(subtask, checkpoint_id, reason, counts):
                text = reason if subtask is None else f"{self._name_of(subtask)}: {reason}"
                return self._failed(checkpoint_id, text, CheckpointPhase.IN_PROGRESS, counts=counts)
            case TaskFinished(subtask):
                return self._task_finished(subtask)
            case TaskReachedEnd(subtask):
                self._ending.add(subtask)
                self._is_final_due = self._is_over and self._waits_for_another
                return []
            case AttemptStarted(tasks, restored_id):
                return self._attempt_started(tasks, restored_id)
            case AttemptEnded(reason):
                return self._attempt_ended(reason)
            case SavepointRequested():
                return self._savepoint_requested(event)
            case CheckpointRequested(request_id):
                return self._checkpoint_requested(request_id)
            case Stored(checkpoint_id, path):
                return self._stored(checkpoint_id, path)
            case StoreFailed(checkpoint_id, reason):
                return self._failed(checkpoint_id, f"its metadata file: {reason}", CheckpointPhase.STORING)

    # --- attempts and tasks ---

    def _attempt_started(self, tasks: tuple[SubtaskId, ...] | None, restored_id: int | None) -> list[Effect]:
        if self.is_storing:
            raise InternalError(f"an attempt starts while checkpoints {sorted(self._pending)} are being stored")
        if tasks is not None:
            self._tasks = tasks
        if restored_id is not None:
            self._history.restored(restored_id)
        self._is_running = self._may_trigger = True
        self._is_final_due = self._is_over  # tasks may have reached their end before the last one started
        self._next_ms = self._now_ms + (self._interval_ms or 0)
        return []

    def _attempt_ended(self, reason: str) -> list[Effect]:
        self._is_running = self._may_trigger = False
        self._finished.clear()
        self._ending.clear()
        self._leaving.clear()
        self._is_final_due = False
        effects: list[Effect] = []
        for pending in [p for p in self._pending.values() if p.phase is CheckpointPhase.IN_PROGRESS]:
            effects += self._abort(pending, reason)
        is_stored = self._is_stop_saved or any(pending.stops for pending in self._pending.values())
        if self._stop is not None and not is_stored and self._stop not in self._waiting_savepoints:  # it was draining
            effects.append(RequestDone(self._stop.request_id, reason=reason))
        self._stop = None
        self._is_stop_saved = False
        waiting = [*(savepoint.request_id for savepoint in self._waiting_savepoints), *self._waiting_requests]
        effects += [RequestDone(request, reason=reason) for request in waiting]
        self._waiting_savepoints.clear()
        self._waiting_requests.clear()
        return effects

    def _task_finished(self, subtask: SubtaskId) -> list[Effect]:
        self._finished.add(subtask)
        self._ending.discard(subtask)
        self._leaving.discard(subtask)
        self._is_final_due = self._is_over and self._waits_for_another
        effects: list[Effect] = []
        for pending in list(self._pending.values()):
            pending.finish(subtask)
            effects += self._store_if_whole(pending)
        return effects

    @property
    def _is_over(self) -> bool:
        """Whether no task has more to read and some wait for a checkpoint."""
        return bool(self._ending) and len(self._finished) + len(self._ending) + len(self._leaving) == len(self._tasks)

    @property
    def _waits_for_another(self) -> bool:
        """Whether some ending task is not covered by any checkpoint in progress."""
        covered = {t for pending in self._pending.values() if pending.is_restored_from for t in pending.covers}
        return not self._ending <= covered

    # --- triggers ---

    @property
    def _interval_ms(self) -> int | None:
        interval_ms = self._settings.interval_ms
        return None if interval_ms is None else max(interval_ms, self._settings.min_pause_ms)

    @property
    def _has_room(self) -> bool:
        """Whether a checkpoint may begin. Savepoints under way take room, too: a checkpoint might overtake them."""
        return len(self._pending) < self._settings.max_concurrent

    @property
    def _has_room_for_savepoint(self) -> bool:
        """Savepoints are aligned. They go beside aligned checkpoints, and overtake one that records its channels: that
        may be where one checkpoint at a time is allowed, and until all tasks have acknowledged it.
        """
        if self._settings.max_concurrent > 1:
            return True
        return all(p.is_savepoint or p.phase is CheckpointPhase.STORING for p in self._pending.values())

    def _obstacle(self) -> str | None:
        """Why no request for a checkpoint or savepoint is taken."""
        if self._may_trigger and self._stop is not None:
            return "the job is being stopped"
        return self._obstacle_to_all()

    def _obstacle_to_all(self) -> str | None:
        """Why nothing may begin, not even what was asked for before."""
        if not self._may_trigger:
            return "the job is not running"
        if len(self._finished) == len(self._tasks):
            return "the job has finished"
        if self._finished and not self._settings.after_tasks_finish:
            return "some tasks have finished, and execution.checkpointing.checkpoints-after-tasks-finish is false"
        return None

    def _checkpoint_requested(self, request_id: int) -> list[Effect]:
        obstacle = self._obstacle()
        if obstacle is not None:
            return [RequestDone(request_id, reason=obstacle)]
        self._waiting_requests.append(request_id)
        return []

    def _savepoint_requested(self, request: SavepointRequested) -> list[Effect]:
        obstacle = self._obstacle()
        if obstacle is not None:
            return [RequestDone(request.request_id, reason=obstacle)]
        if request.stops or request.drains:
            self._stop = request
        if request.drains:
            return [Drain()]
        self._waiting_savepoints.append(request)
        return []

    def _trigger_savepoint(self, request: SavepointRequested) -> list[Effect]:
        stops = request.stops or request.drains
        return self._trigger(BARRIER_SAVEPOINT, (request.request_id,), request.target, stops)

    def _trigger_checkpoint(self, requests: tuple[int, ...] = ()) -> list[Effect]:
        begins_unaligned = self._settings.aligned_timeout_ms == 0
        return self._trigger(BARRIER_UNALIGNED if begins_unaligned else BARRIER_ALIGNED, requests)

    def _trigger(
        self, kind: int, requests: tuple[int, ...], target: str | None = None, stops: bool = False
    ) -> list[Effect]:
        checkpoint_id, self._next_id = self._next_id, self._next_id + 1
        self._pending[checkpoint_id] = PendingCheckpoint(
            checkpoint_id=checkpoint_id,
            barrier_kind=kind,
            triggered_ms=self._now_ms,
            waiting=set(self._tasks) - self._finished,
            finished=set(self._finished),
            covers=frozenset(self._ending),
            requests=requests,
            target=target,
            stops=stops,
        )
        self._history.triggered()
        return [StartCheckpoint(checkpoint_id, kind, target, stops)]

    def _stop_or_finish(self) -> list[Effect]:
        """The savepoint after a drain, the checkpoint for which all tasks wait, or the end of a job without
        checkpoints.
        """
        if not self._may_trigger:
            return []
        if self._stop is not None and self._stop.drains and not self._is_stop_saved:
            return self._drained(self._stop)
        if not self._is_over:
            return []
        if not self._settings.has_final_checkpoint:
            self._leaving |= self._ending
            self._ending.clear()
            return [NotifyCompleted(FINAL_CHECKPOINT_ID)]
        if not self._is_final_due or not self._has_room or self._stop is not None:
            return []  # none after a savepoint that stops: in it, sources would seem to be at their end
        self._is_final_due = False
        return self._trigger_checkpoint()

    def _drained(self, request: SavepointRequested) -> list[Effect]:
        if any(pending.stops for pending in self._pending.values()):
            return []  # its tasks may all have finished behind it
        if len(self._finished) == len(self._tasks):
            self._stop = None
            return [RequestDone(request.request_id, reason="the job has finished")]
        if not self._is_over:
            return []
        return self._trigger_savepoint(request)

    def _serve_requests(self) -> list[Effect]:
        """Savepoints first."""
        effects = self._serve_savepoints() if self._waiting_savepoints else []
        return effects + (self._serve_checkpoints() if self._waiting_requests else [])

    def _serve_savepoints(self) -> list[Effect]:
        obstacle = self._obstacle_to_all()
        if obstacle is None and not self._has_room_for_savepoint:
            return []
        requests, self._waiting_savepoints = self._waiting_savepoints, []
        if obstacle is None:
            return [effect for request in requests for effect in self._trigger_savepoint(request)]
        if self._stop in requests:
            self._stop = None
        return [RequestDone(request.request_id, reason=obstacle) for request in requests]

    def _serve_checkpoints(self) -> list[Effect]:
        obstacle = self._obstacle()
        if obstacle is None and not self._has_room:
            return []
        requests, self._waiting_requests = tuple(self._waiting_requests), []
        if obstacle is not None:
            return [RequestDone(request, reason=obstacle) for request in requests]
        return self._trigger_checkpoint(requests)

    def _periodic_ms(self) -> int | None:
        """When the next periodic checkpoint should begin; None while something else must happen first."""
        if self._interval_ms is None or self._obstacle() is not None or not self._has_room:
            return None
        if self._last_completed_ms is None:
            return self._next_ms
        return max(self._next_ms, self._last_completed_ms + self._settings.min_pause_ms)

    def _trigger_periodic(self) -> list[Effect]:
        due_ms, interval_ms = self._periodic_ms(), self._interval_ms
        if due_ms is None or interval_ms is None or self._now_ms < due_ms:
            return []
        self._next_ms += interval_ms
        if self._next_ms <= self._now_ms:  # late, after a pause or a slow checkpoint: one replaces all that were missed
            self._next_ms = self._now_ms + interval_ms
        return self._trigger_checkpoint()

    # --- the life of one checkpoint ---

    def _deadlines(self, pending: PendingCheckpoint) -> list[int]:
        if pending.phase is not CheckpointPhase.IN_PROGRESS:
            return []
        aligned_ms = self._settings.aligned_timeout_ms
        may_switch = aligned_ms is not None and pending.barrier_kind == BARRIER_ALIGNED
        switch = [pending.triggered_ms + aligned_ms] if may_switch and aligned_ms is not None else []
        return [pending.triggered_ms + self._settings.timeout_ms, *switch]

    def _expire(self) -> list[Effect]:
        effects: list[Effect] = []
        for pending in list(self._pending.values()):
            expiry, *switch = self._deadlines(pending) or [self._now_ms + 1]
            if self._now_ms >= expiry:
                effects += self._failed(pending.checkpoint_id, self._overdue(pending), CheckpointPhase.IN_PROGRESS)
            elif switch and self._now_ms >= switch[0]:
                pending.barrier_kind = BARRIER_UNALIGNED
                effects.append(SwitchToUnaligned(pending.checkpoint_id))
        return effects

    def _overdue(self, pending: PendingCheckpoint) -> str:
        have = "1 task has" if len(pending.waiting) == 1 else f"{len(pending.waiting)} tasks have"
        names = self._named(pending.waiting)
        return f"not complete after {self._settings.timeout_ms} ms; {have} not acknowledged it: {names}"

    def _acknowledged(self, ack: Acknowledged) -> list[Effect]:
        pending = self._pending.get(ack.checkpoint_id)
        if pending is None or not pending.acknowledge(ack, self._now_ms):
            return []
        return self._store_if_whole(pending)

    def _store_if_whole(self, pending: PendingCheckpoint) -> list[Effect]:
        if pending.phase is not CheckpointPhase.IN_PROGRESS or pending.waiting:
            return []
        if not pending.states:
            return self._abort(pending, "all tasks had already finished")
        pending.phase = CheckpointPhase.STORING
        return [
            Store(
                pending.checkpoint_id,
                pending.is_savepoint,
                pending.target,
                dict(pending.states),
                frozenset(pending.finished),
            )
        ]

    def _stored(self, checkpoint_id: int, path: str) -> list[Effect]:
        pending = self._pending.get(checkpoint_id)
        if pending is None or pending.phase is not CheckpointPhase.STORING:
            return []
        if checkpoint_id < self._last_completed_id and not pending.is_savepoint:
            return self._abort(pending, "a newer checkpoint completed first")
        del self._pending[checkpoint_id]
        self._history.over(pending.record(CheckpointState.COMPLETED, self._now_ms, path=path), pending.is_restored_from)
        self._failures = 0
        self._last_completed_ms = self._now_ms
        effects: list[Effect] = []
        if pending.is_restored_from:
            effects = self._completed(pending)
        return effects + [RequestDone(request, path=path) for request in pending.requests]

    def _completed(self, pending: PendingCheckpoint) -> list[Effect]:
        self._last_completed_id = pending.checkpoint_id
        if not self._is_running:
            return []
        served = pending.covers & self._ending
        self._leaving |= served
        self._ending -= served
        self._is_stop_saved = self._is_stop_saved or pending.stops
        effects: list[Effect] = [NotifyCompleted(pending.checkpoint_id, pending.stops)]
        for older in list(self._pending.values()):
            is_subsumed = older.phase is CheckpointPhase.IN_PROGRESS and not older.is_savepoint
            if is_subsumed and older.checkpoint_id < pending.checkpoint_id:
                effects += self._abort(older, "a newer checkpoint completed first")
        return effects

    def _failed(self, checkpoint_id: int, reason: str, phase: CheckpointPhase, *, counts: bool = True) -> list[Effect]:
        """A failure that `counts`, unless it is a savepoint's, or a newer checkpoint is complete (Flink:
        CheckpointFailureManager).
        """
        pending = self._pending.get(checkpoint_id)
        if pending is None or pending.phase is not phase:
            return []
        effects = self._abort(pending, reason)
        is_old = checkpoint_id < self._last_completed_id
        if pending.is_savepoint or is_old or not counts or not self._may_trigger:
            return effects
        self._failures += 1
        tolerable = self._settings.tolerable_failures
        if self._failures <= tolerable:
            return effects
        self._failures = 0
        text = f"checkpoint {checkpoint_id} failed: {reason} ({tolerable} failures in a row are tolerated: "
        return effects + self._fail_job(f"{text}execution.checkpointing.tolerable-failed-checkpoints)")

    def _abort(self, pending: PendingCheckpoint, reason: str) -> list[Effect]:
        del self._pending[pending.checkpoint_id]
        record = pending.record(CheckpointState.FAILED, self._now_ms, reason=reason)
        self._history.over(record, is_restored_from=False)
        effects: list[Effect] = []
        if self._is_running:
            effects.append(NotifyAborted(pending.checkpoint_id, reason))
        effects.append(Discard(pending.checkpoint_id))
        effects += [RequestDone(request, reason=reason) for request in pending.requests]
        if pending.stops and self._stop is not None:
            drains, self._stop = self._stop.drains, None
            self._next_ms = self._now_ms + (self._interval_ms or 0)
            if drains and self._is_running:  # its sources have ended for good: only a restart brings them back
                effects += self._fail_job(f"the savepoint {pending.checkpoint_id} after a drain failed: {reason}")
        return effects

    def _fail_job(self, reason: str) -> list[Effect]:
        """At most once per attempt."""
        was_running, self._may_trigger = self._may_trigger, False
        return [FailJob(reason)] if was_running else []
