"""The checkpoints of one job, over all its attempts: the coordinator, what is under way, what can be restarted from.

::

    coordinator: Trigger ─▶ MakeFolder ─▶ TriggerCheckpoint ─▶ acknowledgements ─▶ coordinator: Store
        ─▶ StoreCheckpoint ─▶ KeepPointers ─▶ coordinator: Stored ─▶ TellCompleted, DeleteFiles

Sinks commit and files go only when the checkpoint, and the pointer to it, are durable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field

from shmflink.checkpoint import events as coordinator
from shmflink.checkpoint.coordinator import CheckpointCoordinator
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID, CheckpointLocation
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.elements import BARRIER_SAVEPOINT, BARRIER_UNALIGNED, Barrier
from shmflink.core.ids import SubtaskId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.events import CheckpointEvent, KnownCheckpoint, StorageOpened, Timer, TimerKind
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.restore_points import RestorePoints
from shmflink.rpc.messages import CheckpointSummary, Failure

__all__ = ["SUSPENSION", "JobCheckpoints"]

SUSPENSION = 0
"""The request of the job itself, before it is suspended; those of others have larger ids."""
_TICK = Timer(TimerKind.CHECKPOINTS)


@dataclass(slots=True)
class _UnderWay:
    """What is known of a checkpoint from its trigger until it is over. `location` None: its folder is being made."""

    kind: int
    stops: bool
    epoch: int = 0
    timestamp_ms: int = 0
    location: CheckpointLocation | None = None
    is_told: bool = False
    is_abandoned: bool = False
    is_kept: bool = False
    enumerators: Mapping[int, bytes] = field(default_factory=dict)


class JobCheckpoints:
    """One per job. Begins when its storage is open (`opened`)."""

    def __init__(
        self, graph: JobGraph, settings: CheckpointSettings, slow_call_of: Callable[[SubtaskId], str], outlet: Outlet
    ) -> None:
        """`slow_call_of` says in which call of user code a task is, for messages."""
        self.points = RestorePoints(settings.num_retained, StorageOpened())
        self._graph = graph
        self._settings = settings
        self._slow_call_of = slow_call_of
        self._outlet = outlet
        self._coordinator = self._new_coordinator(1)
        self._epochs: tuple[int, ...] = ()
        self._under_way: dict[int, _UnderWay] = {}
        self._to_trigger: deque[int] = deque()  # in their order, whichever folder is made first
        self._storing: set[int] = set()
        self._keeping: deque[tuple[coordinator.Stored | None, list[ask.Effect]]] = deque()
        self._completed_ms = 0
        self._due_ms: int | None = None
        self._is_closed = False
        self.failure: Failure | None = None
        """Why the attempts have to fail; whoever reads it sets it to None."""
        self.must_restart_whole = False
        """A part of the job failed when it could not be kept from stopping any more; whoever acts on it says False."""
        self.is_suspension_due = False
        """The checkpoint before the job is suspended is complete, or will not be."""

    def _new_coordinator(self, start_id: int) -> CheckpointCoordinator:
        tasks = [SubtaskId(v.index, i) for v in self._graph.vertices for i in range(v.parallelism)]
        return CheckpointCoordinator(self._settings, tasks, start_id, self._name_of)

    def _name_of(self, task: SubtaskId) -> str:
        vertex = self._graph.vertices[task.vertex]
        call = self._slow_call_of(task)
        return f"'{vertex.name}' ({task.subtask + 1}/{vertex.parallelism}){f', {call}' if call else ''}"

    # --- the life of the job ---

    def opened(self, event: StorageOpened) -> None:
        """What the job can start from is known."""
        self.points = RestorePoints(self._settings.num_retained, event)
        self._coordinator = self._new_coordinator(event.next_id)

    def attempts_started(
        self,
        epochs: Sequence[int],
        finished: Iterable[SubtaskId],
        ending: Iterable[SubtaskId],
        restored_id: int | None,
    ) -> None:
        """All tasks of all regions run, or are over; messages go to these attempts from now on."""
        self._epochs = tuple(epochs)
        self._handle(coordinator.AttemptStarted(None, restored_id))
        for subtask in finished:
            self._handle(coordinator.TaskFinished(subtask))
        for subtask in ending:
            self._handle(coordinator.TaskReachedEnd(subtask))

    def attempt_ended(self, reason: str) -> None:
        """Some tasks fail, are cancelled or are over; said again, what they told of their ends counts no more."""
        self.must_restart_whole |= self._coordinator.is_stop_irrevocable
        told = [checkpoint_id for checkpoint_id, one in self._under_way.items() if one.is_told]
        self._handle(coordinator.AttemptEnded(reason))
        if len(self._epochs) > 1:  # the other regions go on, and must not wait for it
            for checkpoint_id in told:
                if checkpoint_id not in self._under_way:
                    self._outlet.ask(ask.TellAborted(self._epochs, checkpoint_id))

    def said(self, event: coordinator.Acknowledged | coordinator.Declined | coordinator.TaskReachedEnd) -> None:
        """What a task of an attempt says."""
        if isinstance(event, coordinator.Acknowledged):
            self.points.acknowledge(event.checkpoint_id, event.states)
        self._handle(event)

    def task_finished(self, subtask: SubtaskId) -> None:
        """While all regions run."""
        self._handle(coordinator.TaskFinished(subtask))

    def tick(self) -> None:
        """The timer has fired."""
        self._due_ms = None
        self._handle(coordinator.Tick())

    def close(self) -> None:
        """The job is over: nothing is triggered any longer."""
        self._is_closed = True
        self._outlet.ask(ask.StopTimer(_TICK))

    @property
    def is_storing(self) -> bool:
        """The next attempt waits: what is being stored may be what it resumes from."""
        return bool(self._storing or self._keeping)

    @property
    def is_busy(self) -> bool:
        """The disk has yet to answer: the job's end waits, else files would be left behind."""
        return self.is_storing or any(one.location is None for one in self._under_way.values())

    # --- requests ---

    def savepoint(self, request: events.SavepointWanted) -> None:
        """As soon as one may be triggered."""
        folder = request.target or self._settings.savepoint_directory
        if self._is_closed:
            self._answer(request.request_id, reason="the job is over")
        elif self._graph.is_batch:
            self._answer(request.request_id, reason="a job in BATCH mode has no checkpoints and no savepoints")
        elif folder is None:
            text = "name a folder for the savepoint, or set execution.checkpointing.savepoint-dir"
            self._answer(request.request_id, reason=text)
        else:
            self._handle(coordinator.SavepointRequested(request.request_id, folder, request.stops, request.drains))

    def checkpoint(self, request_id: int) -> None:
        """As soon as one may be triggered."""
        if self._is_closed:
            self._answer(request_id, reason="the job is over")
        else:
            self._handle(coordinator.CheckpointRequested(request_id))

    def _answer(self, request_id: int, path: str | None = None, reason: str | None = None) -> None:
        if request_id == SUSPENSION:
            self.is_suspension_due = True
        else:
            failure = None if path is not None else Failure("CheckpointError", reason or "")
            self._outlet.ask(ask.Answer(request_id, path, failure))

    @property
    def is_on(self) -> bool:
        """Whether there is anything to tell of checkpoints."""
        return self._settings.interval_ms is not None or bool(self._coordinator.reports.counts.triggered)

    def summary(self, now_ms: int) -> CheckpointSummary | None:
        """For people; None where checkpointing is off and nothing was written."""
        counts, last = self._coordinator.reports.counts, self._coordinator.reports.last_completed
        if not self.is_on:
            return None
        if last is None:
            return CheckpointSummary(counts.completed, counts.failed, counts.in_progress)
        return CheckpointSummary(
            counts.completed,
            counts.failed,
            counts.in_progress,
            last.checkpoint_id,
            last.path,
            now_ms - self._completed_ms,
            last.duration_ms,
            last.bytes_all,
        )

    def waits_for(self) -> tuple[str, ...]:
        """A sentence for each checkpoint and savepoint under way."""
        return self._coordinator.waits_for()

    # --- what came of effects ---

    def handle(self, event: CheckpointEvent) -> None:
        """An answer to an effect of this machine."""
        match event:
            case events.FolderMade():
                self._folder_made(event)
            case events.FolderRefused(checkpoint_id, reason):
                is_abandoned = self._under_way.pop(checkpoint_id).is_abandoned
                if not is_abandoned:
                    self._handle(coordinator.Declined(None, checkpoint_id, reason))
                self._trigger_ready()
            case events.Triggered(checkpoint_id, enumerators):
                under_way = self._under_way.get(checkpoint_id)
                if under_way is not None:  # else it was given up meanwhile
                    under_way.enumerators = enumerators
            case events.TriggerRefused(checkpoint_id, reason, counts):
                self._handle(coordinator.Declined(None, checkpoint_id, reason, counts))
            case events.CheckpointStored():
                self._stored(event)
            case events.CheckpointNotStored(checkpoint_id, reason):
                self._storing.discard(checkpoint_id)
                self._handle(coordinator.StoreFailed(checkpoint_id, reason))
            case events.PointersKept():
                self._kept()

    def _folder_made(self, event: events.FolderMade) -> None:
        under_way = self._under_way[event.checkpoint_id]
        under_way.location, under_way.timestamp_ms = event.location, event.timestamp_ms
        if under_way.is_abandoned:
            del self._under_way[event.checkpoint_id]
            self._outlet.ask(ask.DiscardFolder(event.location.directory))
        self._trigger_ready()

    def _trigger_ready(self) -> None:
        """Barriers come in the order of their ids."""
        while self._to_trigger:
            checkpoint_id = self._to_trigger[0]
            under_way = self._under_way.get(checkpoint_id)
            if under_way is not None and not under_way.is_abandoned:
                if under_way.location is None:
                    return
                barrier = Barrier(checkpoint_id, under_way.timestamp_ms, under_way.kind)
                under_way.is_told, under_way.epoch = True, max(self._epochs)
                self._outlet.ask(ask.TriggerCheckpoint(self._epochs, barrier, under_way.location, under_way.stops))
            self._to_trigger.popleft()

    def _stored(self, event: events.CheckpointStored) -> None:
        checkpoint_id, under_way = event.checkpoint_id, self._under_way[event.checkpoint_id]
        self._storing.discard(checkpoint_id)
        assert under_way.location is not None, "stored before its folder was made"
        directory = under_way.location.directory
        stored = coordinator.Stored(checkpoint_id, directory)
        is_savepoint = under_way.kind == BARRIER_SAVEPOINT
        if is_savepoint and not under_way.stops:
            self._finish(stored)
            return
        known = KnownCheckpoint(directory, checkpoint_id, is_in_folder=not is_savepoint)
        deletions = self.points.add(known, event.manifest, event.shared_files)
        under_way.is_kept = True
        self._completed_ms = self._outlet.now_ms
        self._keep(stored, deletions)

    def _keep(self, stored: coordinator.Stored | None, then: list[ask.Effect]) -> None:
        self._keeping.append((stored, then))
        self._outlet.ask(ask.KeepPointers(self.points.directories))

    def _kept(self) -> None:
        stored, then = self._keeping.popleft()
        if stored is not None:
            self._finish(stored)
        self._outlet.ask(*then)

    def _finish(self, stored: coordinator.Stored) -> None:
        self._handle(stored)
        self._under_way.pop(stored.checkpoint_id, None)

    def leave_out(self, directory: str, why: str) -> None:
        """It is damaged: the job does not restart from it."""
        self.points.damaged(directory, why)
        self._outlet.ask(ask.Log(f"the checkpoint {directory} is left out: {why}"))

    def keep_pointers(self) -> None:
        """After changes of `points` that have no checkpoint of their own."""
        self._keep(None, [])

    # --- the coordinator ---

    def _handle(self, event: coordinator.Event) -> None:
        if self._is_closed:
            return
        effects = self._coordinator.handle(event, self._outlet.now_ms)
        if isinstance(event, (coordinator.Declined, coordinator.StoreFailed, coordinator.Tick)):
            self._warn_of_failures(effects)
        for effect in effects:
            self._perform(effect)
        self._arm()

    def _warn_of_failures(self, effects: Sequence[coordinator.Effect]) -> None:
        """A failure that fails the job is its restart's cause; one that somebody waits for is that one's answer."""
        if any(isinstance(effect, (coordinator.FailJob, coordinator.RequestDone)) for effect in effects):
            return
        for effect in effects:
            if isinstance(effect, coordinator.NotifyAborted):
                checkpoint_id, name = effect.checkpoint_id, self._graph.name
                self._outlet.ask(ask.Log(f"checkpoint {checkpoint_id} of job '{name}' failed: {effect.reason}"))

    def _arm(self) -> None:
        due_ms = self._coordinator.next_deadline_ms()
        if due_ms == self._due_ms:
            return
        self._due_ms = due_ms
        if due_ms is None:
            self._outlet.ask(ask.StopTimer(_TICK))
        else:
            self._outlet.ask(ask.SetTimer(_TICK, max(due_ms - self._outlet.now_ms, 0)))

    def _perform(self, effect: coordinator.Effect) -> None:
        match effect:
            case coordinator.StartCheckpoint(checkpoint_id, kind, target, stops):
                self._under_way[checkpoint_id] = _UnderWay(kind, stops)
                self._to_trigger.append(checkpoint_id)
                self._outlet.ask(ask.MakeFolder(checkpoint_id, (target or "") if kind == BARRIER_SAVEPOINT else None))
            case coordinator.SwitchToUnaligned(checkpoint_id):
                self._switch(checkpoint_id)
            case coordinator.Store():
                self._store(effect)
            case coordinator.NotifyCompleted(checkpoint_id, stops):
                self._outlet.ask(ask.TellCompleted(self._epochs, checkpoint_id, stops))
                if checkpoint_id != FINAL_CHECKPOINT_ID:
                    self._outlet.ask(ask.ForgetSplits(self.points.oldest_id))
            case coordinator.NotifyAborted(checkpoint_id, reason):
                text = f"checkpoint {checkpoint_id} of job {self._graph.name} is given up: {reason}"
                self._outlet.ask(ask.Log(text, "INFO"), ask.TellAborted(self._epochs, checkpoint_id))
            case coordinator.Discard(checkpoint_id):
                self._discard(checkpoint_id)
            case coordinator.FailJob(reason):
                self.failure = Failure("CheckpointError", reason)
            case coordinator.RequestDone(request_id, path, reason):
                self._answer(request_id, path, reason)
            case coordinator.Drain():
                self._outlet.ask(ask.DrainSources(self._epochs))

    def _switch(self, checkpoint_id: int) -> None:
        under_way = self._under_way[checkpoint_id]
        under_way.kind = BARRIER_UNALIGNED
        if under_way.is_told and under_way.location is not None:
            barrier = Barrier(checkpoint_id, under_way.timestamp_ms, BARRIER_UNALIGNED)
            self._outlet.ask(ask.SwitchToUnaligned(self._epochs, barrier, under_way.location, under_way.stops))

    def _store(self, store: coordinator.Store) -> None:
        under_way = self._under_way[store.checkpoint_id]
        assert under_way.location is not None, "a checkpoint is complete before its folder was made"
        self._storing.add(store.checkpoint_id)
        self._outlet.ask(
            ask.StoreCheckpoint(
                store, under_way.enumerators, under_way.location, under_way.timestamp_ms, under_way.epoch
            )
        )

    def _discard(self, checkpoint_id: int) -> None:
        under_way = self._under_way.get(checkpoint_id)
        if under_way is None:
            return
        if under_way.location is None:  # removed when it is made
            under_way.is_abandoned = True
            return
        del self._under_way[checkpoint_id]
        discard = ask.DiscardFolder(under_way.location.directory)
        if under_way.is_kept:
            self.points.forget(under_way.location.directory)
            self._keep(None, [discard])
        else:
            self._outlet.ask(discard)
