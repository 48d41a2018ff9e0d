"""The checkpoints of one job, over all its attempts: between the coordinator and what performs its decisions.

::

    coordinator: Trigger ─▶ MakeFolder ─▶ TriggerCheckpoint ─▶ acknowledgments ─▶ coordinator: Store
        ─▶ StoreCheckpoint ─▶ KeepPointers ─▶ coordinator: Stored ─▶ TellCompleted, DeleteFiles

Sinks commit, and files go, only when the checkpoint and the pointer to it are durable. The parts: `CheckpointsInFlight`
(folders, barriers, manifests), `Pointers` (restore points), `CheckpointRequests`, `CheckpointTimer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from shmflink.checkpoint import events as coordinator
from shmflink.checkpoint.coordinator import CheckpointCoordinator
from shmflink.checkpoint.handles import FINAL_CHECKPOINT_ID
from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.ids import SubtaskId
from shmflink.graph.job_graph import JobGraph
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmachine.checkpoint_progress import CheckpointProgress
from shmflink.jobmachine.checkpoint_requests import CheckpointRequests
from shmflink.jobmachine.checkpoint_timer import CheckpointTimer
from shmflink.jobmachine.checkpoints_in_flight import CheckpointsInFlight
from shmflink.jobmachine.events import CheckpointEvent, StorageOpened
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.pointers import Pointers
from shmflink.jobmachine.suspension import Suspension
from shmflink.rpc.messages import Failure

__all__ = ["JobCheckpoints"]


class JobCheckpoints:
    """One per job. Begins when its storage is open (`opened`)."""

    def __init__(
        self,
        graph: JobGraph,
        settings: CheckpointSettings,
        name_of: Callable[[SubtaskId], str],
        pointers: Pointers,
        suspension: Suspension,
        outlet: Outlet,
    ) -> None:
        """`name_of` names a task for messages."""
        self.failure: Failure | None = None
        """Why the attempts have to fail; the reader sets it to None."""
        self.must_restart_whole = False
        """A region failed after others could no longer be kept from ending; the reader sets it to False."""
        self._graph = graph
        self._settings = settings
        self._name_of = name_of
        self._pointers = pointers
        self._outlet = outlet
        self._in_flight = CheckpointsInFlight(outlet)
        self._requests = CheckpointRequests(settings.savepoint_directory, suspension, outlet, is_batch=graph.is_batch)
        self._timer = CheckpointTimer(outlet)
        self._is_closed = False
        self._begin(1)

    def _begin(self, start_id: int) -> None:
        tasks = [SubtaskId(v.index, i) for v in self._graph.vertices for i in range(v.parallelism)]
        self._coordinator = CheckpointCoordinator(self._settings, tasks, start_id, self._name_of)
        self.progress = CheckpointProgress(self._coordinator, is_periodic=self._settings.interval_ms is not None)

    # --- the life of the job ---

    def opened(self, event: StorageOpened) -> None:
        """What the job can start from is known."""
        self._pointers.opened(event)
        self._begin(event.next_id)

    def attempts_started(
        self,
        epochs: Sequence[int],
        finished: Iterable[SubtaskId],
        ending: Iterable[SubtaskId],
        restored_id: int | None,
    ) -> None:
        """All tasks of all regions run or are over; messages go to these attempts from now on."""
        self._in_flight.epochs = tuple(epochs)
        self._tell(coordinator.AttemptStarted(None, restored_id))
        for subtask in finished:
            self._tell(coordinator.TaskFinished(subtask))
        for subtask in ending:
            self._tell(coordinator.TaskReachedEnd(subtask))

    def attempt_ended(self, reason: str) -> None:
        """Some tasks fail, are canceled or are over. Told again, it voids what tasks said of their ends in between."""
        self.must_restart_whole |= self._coordinator.is_stop_irrevocable
        told = self._in_flight.told
        self._tell(coordinator.AttemptEnded(reason))
        if len(self._in_flight.epochs) > 1:  # tasks of other regions continue, and must not wait for a barrier
            self._in_flight.tell_aborted(told)

    def said(self, event: coordinator.Acknowledged | coordinator.Declined | coordinator.TaskReachedEnd) -> None:
        """What a task of an attempt says."""
        if isinstance(event, coordinator.Acknowledged):
            self._pointers.acknowledge(event.checkpoint_id, event.states)
        self._tell(event)

    def task_finished(self, subtask: SubtaskId) -> None:
        """While all regions run."""
        self._tell(coordinator.TaskFinished(subtask))

    def tick(self) -> None:
        """The timer has fired."""
        self._timer.fired()
        self._tell(coordinator.Tick())

    def close(self) -> None:
        """The job is over: nothing is triggered any longer."""
        self._is_closed = True
        self._requests.close()
        self._timer.stop()

    @property
    def is_storing(self) -> bool:
        """A checkpoint is becoming durable from which the next attempt may have to resume, so that attempt waits."""
        return self._in_flight.is_storing or self._pointers.is_busy

    @property
    def is_busy(self) -> bool:
        """The disk has not answered yet; the job's end waits, because files would be left behind."""
        return self.is_storing or self._in_flight.is_making_folders

    # --- requests ---

    def savepoint(self, request: events.SavepointWanted) -> None:
        """Triggered as soon as the coordinator may."""
        accepted = self._requests.savepoint(request)
        if accepted is not None:
            self._tell(accepted)

    def checkpoint(self, request_id: int) -> None:
        """Triggered as soon as the coordinator may."""
        accepted = self._requests.checkpoint(request_id)
        if accepted is not None:
            self._tell(accepted)

    # --- answers to effects ---

    def handle(self, event: CheckpointEvent) -> None:
        """An answer to an effect of this machine."""
        match event:
            case events.FolderMade():
                self._in_flight.folder_made(event)
            case events.FolderRefused(checkpoint_id, reason):
                if self._in_flight.folder_refused(checkpoint_id):
                    self._tell(coordinator.Declined(None, checkpoint_id, reason))
                self._in_flight.trigger_ready()
            case events.Triggered(checkpoint_id, enumerators):
                self._in_flight.triggered(checkpoint_id, enumerators)
            case events.TriggerRefused(checkpoint_id, reason, counts):
                self._tell(coordinator.Declined(None, checkpoint_id, reason, counts))
            case events.CheckpointStored():
                self._stored(event)
            case events.CheckpointNotStored(checkpoint_id, reason):
                self._in_flight.not_stored(checkpoint_id)
                self._tell(coordinator.StoreFailed(checkpoint_id, reason))
            case events.PointersKept():
                stored, effects = self._pointers.kept()
                if stored is not None:
                    self._finish(stored)
                self._outlet.ask(*effects)

    def _stored(self, event: events.CheckpointStored) -> None:
        in_flight = self._in_flight.stored(event.checkpoint_id)
        stored = coordinator.Stored(event.checkpoint_id, in_flight.directory)
        if in_flight.is_savepoint and not in_flight.stops:  # the job does not restart from it
            self._finish(stored)
            return
        in_flight.is_kept = True
        self.progress.completed_ms = self._outlet.now_ms
        self._pointers.add(stored, event, is_in_folder=not in_flight.is_savepoint)

    def _finish(self, stored: coordinator.Stored) -> None:
        self._tell(stored)
        self._in_flight.finish(stored.checkpoint_id)

    # --- the coordinator ---

    def _tell(self, event: coordinator.Event) -> None:
        if self._is_closed:
            return
        effects = self._coordinator.handle(event, self._outlet.now_ms)
        if isinstance(event, (coordinator.Declined, coordinator.StoreFailed, coordinator.Tick)):
            self._warn_of_failures(effects)
        for effect in effects:
            self._perform(effect)
        self._timer.arm(self._coordinator.next_deadline_ms())

    def _warn_of_failures(self, effects: Sequence[coordinator.Effect]) -> None:
        """Not if the failure also fails the job, whose restart names it, or is the answer to a request."""
        if any(isinstance(effect, (coordinator.FailJob, coordinator.RequestDone)) for effect in effects):
            return
        for effect in effects:
            if isinstance(effect, coordinator.NotifyAborted):
                checkpoint_id, name = effect.checkpoint_id, self._graph.name
                self._outlet.ask(ask.Log(f"checkpoint {checkpoint_id} of job '{name}' failed: {effect.reason}"))

    def _perform(self, effect: coordinator.Effect) -> None:
        epochs = self._in_flight.epochs
        match effect:
            case coordinator.StartCheckpoint():
                self._in_flight.start(effect)
            case coordinator.SwitchToUnaligned(checkpoint_id):
                self._in_flight.switch(checkpoint_id)
            case coordinator.Store():
                self._in_flight.store(effect)
            case coordinator.NotifyCompleted(checkpoint_id, stops):
                self._outlet.ask(ask.TellCompleted(epochs, checkpoint_id, stops))
                if checkpoint_id != FINAL_CHECKPOINT_ID:
                    self._outlet.ask(ask.ForgetSplits(self._pointers.oldest_id))
            case coordinator.NotifyAborted(checkpoint_id, reason):
                text = f"checkpoint {checkpoint_id} of job {self._graph.name} is given up: {reason}"
                self._outlet.ask(ask.Log(text, "INFO"), ask.TellAborted(epochs, checkpoint_id))
            case coordinator.Discard(checkpoint_id):
                self._discard(checkpoint_id)
            case coordinator.FailJob(reason):
                self.failure = Failure("CheckpointError", reason)
            case coordinator.RequestDone(request_id, path, reason):
                self._requests.answer(request_id, path, reason)
            case coordinator.Drain():
                self._outlet.ask(ask.DrainSources(epochs))

    def _discard(self, checkpoint_id: int) -> None:
        in_flight = self._in_flight.discard(checkpoint_id)
        if in_flight is None:
            return
        if in_flight.is_kept:
            self._pointers.discard(in_flight.directory)
        else:
            self._outlet.ask(ask.DiscardFolder(in_flight.directory))
