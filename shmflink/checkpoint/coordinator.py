"""Decides when checkpoints begin, complete and fail: a pure state machine (Flink's CheckpointCoordinator).

::

    StartCheckpoint ─▶ all tasks Acknowledged or TaskFinished ─▶ Store ─▶ Stored ─▶ NotifyCompleted
       └─ Declined, timeout, a newer one completed, StoreFailed, AttemptEnded ─▶ NotifyAborted, Discard

It lives as long as the job, across all attempts; ids only grow. Times are ms of one monotonic clock. When an attempt
ends while a checkpoint is being stored, a restart waits for it (`is_storing`): it may be the one to restart from, and a
restart from an older one must not discard the pending commits of its tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shmflink.checkpoint.events import (
    Acknowledged,
    AttemptEnded,
    AttemptStarted,
    CheckpointRequested,
    Declined,
    Discard,
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
from shmflink.checkpoint.history import CheckpointHistory, CheckpointRecord
from shmflink.checkpoint.in_progress import CheckpointsInProgress
from shmflink.checkpoint.pending import CheckpointPhase, PendingCheckpoint
from shmflink.checkpoint.requests import CheckpointRequests
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.checkpoint.task_ends import TaskEnds
from shmflink.checkpoint.timetable import Timetable
from shmflink.checkpoint.waiting_for import WaitingFor
from shmflink.core.elements import BARRIER_ALIGNED, BARRIER_SAVEPOINT, BARRIER_UNALIGNED
from shmflink.core.ids import SubtaskId
from shmflink.errors import InternalError

__all__ = ["CheckpointCoordinator"]


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
        self.reports = CheckpointHistory(settings.history)
        self._settings = settings
        self._name_of = name_of
        self._next_id = start_id
        self._in_progress = CheckpointsInProgress(settings, self.reports)
        self._ends = TaskEnds(tasks)
        self._requests = CheckpointRequests()
        self._timetable = Timetable(settings)
        self._waiting_for = WaitingFor(name_of)
        self._may_trigger = False
        self._is_running = False
        self._last_completed_id = -1
        self._failures = 0
        self._now_ms = 0

    # --- queries ---

    @property
    def is_storing(self) -> bool:
        """A metadata file is being written: a restart waits for Stored or StoreFailed."""
        return bool(self._in_progress.storing)

    @property
    def is_stop_irrevocable(self) -> bool:
        """Tasks end before the end of their input: when some of them fail, the others must begin again, too."""
        stop = self._requests.stop
        if stop is None:
            return False
        return stop.drains or self._requests.is_stop_saved or any(p.stops for p in self._in_progress.storing)

    @property
    def history(self) -> tuple[CheckpointRecord, ...]:
        """Checkpoints in progress and the latest finished ones, newest first."""
        return self._in_progress.records(self._now_ms)

    def waits_for(self) -> tuple[str, ...]:
        """Sentences for people: the tasks for which each checkpoint in progress, a drain or the end after a
        savepoint waits.
        """
        return tuple(self._waiting_for.sentences(self._in_progress.all, self._requests, self._ends))

    def next_deadline_ms(self) -> int | None:
        """When a Tick may have an effect; None if nothing depends on time."""
        deadlines = [due for pending in self._in_progress.all for due in self._timetable.deadlines(pending)]
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
            case Acknowledged(_, checkpoint_id):
                pending = self._in_progress.find(checkpoint_id, CheckpointPhase.IN_PROGRESS)
                is_news = pending is not None and pending.acknowledge(event, self._now_ms)
                return self._store_if_whole(pending) if pending is not None and is_news else []
            case Declined(subtask, checkpoint_id, reason, counts):
                text = reason if subtask is None else f"{self._name_of(subtask)}: {reason}"
                return self._failed(checkpoint_id, text, CheckpointPhase.IN_PROGRESS, counts=counts)
            case TaskFinished(subtask):
                self._ends.finish(subtask, self._in_progress.covered)
                for pending in self._in_progress.all:
                    pending.finish(subtask)
                return [effect for pending in self._in_progress.all for effect in self._store_if_whole(pending)]
            case TaskReachedEnd(subtask):
                self._ends.reach_end(subtask, self._in_progress.covered)
                return []
            case AttemptStarted(tasks, restored_id):
                return self._attempt_started(tasks, restored_id)
            case AttemptEnded(reason):
                return self._attempt_ended(reason)
            case SavepointRequested(request_id) | CheckpointRequested(request_id):
                obstacle = self._obstacle()
                return self._requests.add(event) if obstacle is None else [RequestDone(request_id, reason=obstacle)]
            case Stored(checkpoint_id, path):
                return self._stored(checkpoint_id, path)
            case StoreFailed(checkpoint_id, reason):
                return self._failed(checkpoint_id, f"its metadata file: {reason}", CheckpointPhase.STORING)

    # --- attempts and tasks ---

    def _attempt_started(self, tasks: tuple[SubtaskId, ...] | None, restored_id: int | None) -> list[Effect]:
        if self.is_storing:
            numbers = [pending.checkpoint_id for pending in self._in_progress.all]
            raise InternalError(f"an attempt starts while checkpoints {numbers} are being stored")
        if restored_id is not None:
            self.reports.restored(restored_id)
        self._is_running = self._may_trigger = True
        self._ends.start(tasks)
        self._timetable.restart(self._now_ms)
        return []

    def _attempt_ended(self, reason: str) -> list[Effect]:
        self._is_running = self._may_trigger = False
        self._ends.clear()
        effects: list[Effect] = []
        for pending in self._in_progress.waiting_for_tasks:
            effects += self._abort(pending, reason)
        return effects + self._requests.refuse_all(reason, is_stop_triggered=self._in_progress.has_stop)

    # --- triggers ---

    def _obstacle(self, *, is_accepted: bool = False) -> str | None:
        """Why no request for a checkpoint or savepoint is taken, or, if it is accepted, why it may not begin."""
        if not self._may_trigger:
            return "the job is not running"
        if not is_accepted and self._requests.stop is not None:
            return "the job is being stopped"
        if self._ends.have_all_finished:
            return "the job has finished"
        if self._ends.finished and not self._settings.after_tasks_finish:
            return "some tasks have finished, and execution.checkpointing.checkpoints-after-tasks-finish is false"
        return None

    def _trigger_checkpoint(self, requests: tuple[int, ...] = ()) -> list[Effect]:
        begins_unaligned = self._settings.aligned_timeout_ms == 0
        return self._trigger(BARRIER_UNALIGNED if begins_unaligned else BARRIER_ALIGNED, requests)

    def _trigger(
        self, kind: int, requests: tuple[int, ...], target: str | None = None, stops: bool = False
    ) -> list[Effect]:
        checkpoint_id, self._next_id = self._next_id, self._next_id + 1
        pending = PendingCheckpoint(
            checkpoint_id=checkpoint_id,
            barrier_kind=kind,
            triggered_ms=self._now_ms,
            waiting=self._ends.running,
            finished=set(self._ends.finished),
            covers=frozenset(self._ends.ending),
            requests=requests,
            target=target,
            stops=stops,
        )
        self._in_progress.begin(pending)
        return [StartCheckpoint(checkpoint_id, kind, target, stops)]

    def _stop_or_finish(self) -> list[Effect]:
        """The savepoint after a drain, the checkpoint for which all tasks wait, or the end of a job without
        checkpoints.
        """
        ends, requests = self._ends, self._requests
        if not self._may_trigger:
            return []
        if requests.is_draining:
            return self._drained()
        if not ends.is_over:
            return []
        if not self._settings.has_final_checkpoint:
            ends.serve_all()
            return [NotifyCompleted(FINAL_CHECKPOINT_ID)]
        if not ends.is_final_due or not self._in_progress.has_room or requests.stop is not None:
            return []  # none after a savepoint that stops: in it, sources would seem to be at their end
        ends.is_final_due = False
        return self._trigger_checkpoint()

    def _drained(self) -> list[Effect]:
        request = self._requests.stop
        if request is None or self._in_progress.has_stop:
            return []  # its tasks may all have finished behind it
        if self._ends.have_all_finished:
            self._requests.stop = None
            return [RequestDone(request.request_id, reason="the job has finished")]
        may_begin = self._ends.is_over and self._in_progress.has_room_for_savepoint
        return self._trigger(BARRIER_SAVEPOINT, (request.request_id,), request.target, stops=True) if may_begin else []

    def _serve_requests(self) -> list[Effect]:
        """Savepoints first."""
        effects: list[Effect] = []
        requests, obstacle = self._requests, self._obstacle(is_accepted=True)
        if obstacle is not None:
            effects += requests.refuse_savepoints(obstacle)
        elif requests.savepoints and self._in_progress.has_room_for_savepoint:
            for request in requests.take_savepoints():
                effects += self._trigger(BARRIER_SAVEPOINT, (request.request_id,), request.target, request.stops)
        obstacle = self._obstacle()
        if obstacle is not None:
            effects += [RequestDone(request, reason=obstacle) for request in requests.take_checkpoints()]
        elif requests.checkpoints and self._in_progress.has_room:
            effects += self._trigger_checkpoint(requests.take_checkpoints())
        return effects

    def _periodic_ms(self) -> int | None:
        """When the next periodic checkpoint should begin; None while something else must happen first."""
        return self._timetable.due_ms if self._obstacle() is None and self._in_progress.has_room else None

    def _trigger_periodic(self) -> list[Effect]:
        due_ms = self._periodic_ms()
        if due_ms is None or self._now_ms < due_ms:
            return []
        self._timetable.triggered(self._now_ms)
        return self._trigger_checkpoint()

    # --- the life of one checkpoint ---

    def _expire(self) -> list[Effect]:
        effects: list[Effect] = []
        for pending in self._in_progress.all:
            expiry, *switch = self._timetable.deadlines(pending) or [self._now_ms + 1]
            if self._now_ms >= expiry:
                reason = self._waiting_for.overdue(pending, self._settings.timeout_ms)
                effects += self._failed(pending.checkpoint_id, reason, CheckpointPhase.IN_PROGRESS)
            elif switch and self._now_ms >= switch[0]:
                pending.barrier_kind = BARRIER_UNALIGNED
                effects.append(SwitchToUnaligned(pending.checkpoint_id))
        return effects

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
        pending = self._in_progress.find(checkpoint_id, CheckpointPhase.STORING)
        if pending is None:
            return []
        if checkpoint_id < self._last_completed_id and not pending.is_savepoint:
            return self._abort(pending, "a newer checkpoint completed first")
        self._in_progress.complete(pending, self._now_ms, path)
        self._failures = 0
        self._timetable.completed(self._now_ms)
        effects = self._completed(pending) if pending.is_restored_from else []
        return effects + [RequestDone(request, path=path) for request in pending.requests]

    def _completed(self, pending: PendingCheckpoint) -> list[Effect]:
        self._last_completed_id = pending.checkpoint_id
        if not self._is_running:
            return []
        self._ends.serve(pending.covers)
        self._requests.is_stop_saved |= pending.stops
        effects: list[Effect] = [NotifyCompleted(pending.checkpoint_id, pending.stops)]
        for older in self._in_progress.waiting_for_tasks:
            if not older.is_savepoint and older.checkpoint_id < pending.checkpoint_id:
                effects += self._abort(older, "a newer checkpoint completed first")
        return effects

    def _failed(self, checkpoint_id: int, reason: str, phase: CheckpointPhase, *, counts: bool = True) -> list[Effect]:
        """A failure that `counts`, unless it is a savepoint's, or a newer checkpoint is complete (Flink:
        CheckpointFailureManager).
        """
        pending = self._in_progress.find(checkpoint_id, phase)
        if pending is None:
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
        self._in_progress.give_up(pending, self._now_ms, reason)
        effects: list[Effect] = []
        if self._is_running:
            effects.append(NotifyAborted(pending.checkpoint_id, reason))
        effects.append(Discard(pending.checkpoint_id))
        effects += [RequestDone(request, reason=reason) for request in pending.requests]
        stop = self._requests.stop
        if pending.stops and stop is not None:
            self._requests.stop = None
            self._timetable.restart(self._now_ms)
            if stop.drains and self._is_running:  # its sources have ended for good: only a restart brings them back
                effects += self._fail_job(f"the savepoint {pending.checkpoint_id} after a drain failed: {reason}")
        return effects

    def _fail_job(self, reason: str) -> list[Effect]:
        """At most once per attempt."""
        was_running, self._may_trigger = self._may_trigger, False
        return [FailJob(reason)] if was_running else []
