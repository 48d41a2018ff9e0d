"""The jobs that run in this process, and the slots that they share: performs the dispatcher's effects on jobs."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.core.clock import Clock
from shmflink.core.ids import JobId, TaskManagerId
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.checkpoint_disk import CheckpointDisk
from shmflink.jobmanager.job_run import JobRun
from shmflink.jobmanager.job_store import JobStore
from shmflink.jobmanager.slot_pool import SlotPool, SlotRequest
from shmflink.jobmanager.slot_queue import waiting_text
from shmflink.jobmanager.splits import failure_of
from shmflink.jobmanager.taskmanager_gateway import TaskManagerGateway
from shmflink.rpc.messages import Failure, JobEnded, JobProgress
from shmflink.rpc.states import JobState

__all__ = ["JobRuns", "RunsListener"]

_LOG: Final = logging.getLogger(__name__)
_PROGRESS_INTERVAL_S: Final = 0.2
_JOBS_PER_COLLECTION: Final = 10
"""A job that is over is cyclic garbage of a few hundred KB in few objects: the collector, which counts objects, would
leave hundreds of jobs for later.
"""
_WAITS_QUIETLY_S: Final = 2.0  # a job that waits longer for slots reports it once


class RunsListener(Protocol):
    """The listener of the jobs; the event loop makes all calls."""

    def job_entered(self, job_id: JobId, state: JobState, failure: Failure | None) -> None:
        """`failure`: why the job restarts."""
        ...

    def job_notice(self, job_id: JobId, text: str) -> None:
        """A message for people, which names the job."""
        ...

    def job_progressed(self, progress: JobProgress) -> None: ...

    def job_ended(self, ended: JobEnded, run: JobRun | None, released: Sequence[TaskManagerId]) -> None:
        """The job has ended and holds nothing any longer. `run`: None if it could not begin. `released`: its
        TaskManagers.
        """
        ...

    def wants_progress(self, job_id: JobId) -> bool: ...


class JobRuns:
    """A `job_run.JobOwner` of all jobs. Used only by the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        store: JobStore,
        slots_total: int,
        slots: SlotPool[TaskManagerId],
        listener: RunsListener,
    ) -> None:
        self.runs: dict[JobId, JobRun] = {}
        """Jobs that have not ended, in the order of their submission."""
        self.slots_total = slots_total
        """Slots of the cluster, whether or not their TaskManagers are up."""
        self.renews_taskmanagers = False
        """Whether a TaskManager serves only one job and is then replaced, so that no job sees modules, memory or
        processes that another job has left.
        """
        self._loop = loop
        self._clock = clock
        self._store = store
        self._slots = slots
        self._listener = listener
        self._taskmanagers: dict[TaskManagerId, TaskManagerGateway] = {}
        self._ended = 0

    # --- effects of the dispatcher ---

    def begin(self, admission: Admission, resumption: str = "") -> None:
        """Runs the job; a job that cannot begin ends at once. `resumption`: see `JobRun`."""
        submission, graph = admission.submission, admission.submission.graph
        identity = self._store.identity
        try:
            settings = CheckpointSettings.of(submission.configuration)
            disk = CheckpointDisk(graph, settings, admission.pointers, identity)
            around = self._loop, self._clock, self, disk, identity
            run = JobRun(graph, submission.configuration, settings, *around, resumption)
        except Exception as error:  # the job's content comes from outside
            self._store.withdraw(graph.job_id)
            self._listener.job_ended(JobEnded(graph.job_id, JobState.FAILED, 0, failure_of(error), ()), None, ())
            return
        self.runs[graph.job_id] = run
        run.start()

    def cancel(self, job_id: JobId, *, force: bool) -> None:
        """No effect on a job that has ended."""
        run = self.runs.get(job_id)
        if run is not None:
            run.cancel(force)

    def suspend(self, job_id: JobId) -> None:
        """No effect on a job that has ended."""
        run = self.runs.get(job_id)
        if run is not None:
            run.suspend()

    def report_progress(self, job_id: JobId) -> None:
        """Reports progress while a client wants it."""
        self._loop.call_later(_PROGRESS_INTERVAL_S, self._report_progress, job_id)

    def _report_progress(self, job_id: JobId) -> None:
        run = self.runs.get(job_id)
        if run is not None and self._listener.wants_progress(job_id):
            run.guarded(self._send_progress)
            self.report_progress(job_id)

    def _send_progress(self, run: JobRun) -> None:
        self._listener.job_progressed(
            JobProgress(
                run.graph.job_id,
                run.summaries(),
                run.source_progress(),
                run.checkpoint_summary(),
                run.restarts,
                run.slow_calls(),
            )
        )

    def failed(self, failure: Failure) -> list[JobEnded]:
        """How the jobs end if the cluster cannot continue."""
        return [JobEnded(one, JobState.FAILED, 0, failure, run.summaries()) for one, run in self.runs.items()]

    # --- TaskManagers ---

    def taskmanager_ready(self, taskmanager: TaskManagerGateway) -> None:
        """Offers the free slots of a TaskManager."""
        self._taskmanagers[taskmanager.id] = taskmanager
        self._slots.offer(taskmanager.id)
        self._grant()

    def taskmanager_message(self, taskmanager: TaskManagerGateway, message: Any) -> None:
        """Passes a TaskManager's message to the job that holds its slots; late messages for an ended job have no
        effect.
        """
        allocation = self._slots.allocation(taskmanager.id)
        if allocation is not None:
            self.runs[allocation.job_id].message(taskmanager, message)

    def taskmanager_lost(self, taskmanager: TaskManagerGateway, failure: Failure) -> None:
        """The process is gone."""
        self._taskmanagers.pop(taskmanager.id, None)
        job_id = self._slots.lose(taskmanager.id)
        if job_id is not None:
            self.runs[job_id].taskmanager_lost(taskmanager, failure)

    # --- slots ---

    def _grant(self) -> None:
        for grant in self._slots.grants():
            run = self.runs[grant.request.job_id]
            run.granted([self._taskmanagers[one] for one in grant.taskmanagers], self._slots.slots_per_taskmanager)

    def taskmanagers_wanted(self, run: JobRun) -> None:
        """Requests slots; answered by a grant as soon as enough slots are free."""
        per = self._slots.slots_per_taskmanager
        self._slots.request(SlotRequest(run.graph.job_id, run.restarts, run.missing_taskmanagers(per) * per))
        self._grant()
        if self._slots.request_of(run.graph.job_id) is not None:
            self._loop.call_later(_WAITS_QUIETLY_S, self._tell_that_it_waits, run.graph.job_id)

    def _tell_that_it_waits(self, job_id: JobId) -> None:
        request, run = self._slots.request_of(job_id), self.runs.get(job_id)
        if request is None or run is None:
            return
        holders = [(one.graph.name, str(job_id), self._slots.slots_of(job_id)) for job_id, one in self.runs.items()]
        held = [holder for holder in holders if holder[2]]
        ahead = self._slots.waiting.index(request)
        text = waiting_text(run.graph.name, request.slots, self.slots_total, held, ahead)
        self._listener.job_notice(request.job_id, text)

    def stop_granting(self) -> None:
        """The cluster ends: no job begins or restarts any longer."""
        self._slots.stop()

    # --- reports of jobs ---

    def job_state_entered(self, run: JobRun, state: JobState, failure: Failure | None) -> None:
        self._listener.job_entered(run.graph.job_id, state, failure)

    def job_notice(self, run: JobRun, text: str) -> None:
        self._listener.job_notice(run.graph.job_id, f"job '{run.graph.name}': {text}")

    def job_log(self, run: JobRun, text: str, level: str) -> None:
        _LOG.log(logging.getLevelNamesMapping()[level], "%s", text)

    def job_ending(self, run: JobRun, ended: JobEnded, kept: Callable[[], None]) -> None:
        """Stores the end before the client is notified: a job that the client considers ended must not run again."""
        self._store.keep_end(ended, run.folder_going, kept)

    def job_refused(self, run: JobRun, ended: JobEnded) -> None:
        self._store.withdraw(ended.job_id)
        self._forget(ended, None)

    def job_ended(self, run: JobRun, ended: JobEnded) -> None:
        self._forget(ended, run)

    def _forget(self, ended: JobEnded, run: JobRun | None) -> None:
        del self.runs[ended.job_id]
        released = self._slots.release(ended.job_id)
        for taskmanager in released if self.renews_taskmanagers else ():
            self._slots.lose(taskmanager)
            self._taskmanagers[taskmanager].kill("has served its job")
        self._listener.job_ended(ended, run, released)
        self._grant()
        self._ended += 1
        if self._ended % _JOBS_PER_COLLECTION == 0:
            self._loop.call_soon(gc.collect)

    def epochs(self, count: int, granted: Callable[[tuple[int, ...]], None]) -> None:
        self._store.epochs(count, granted)

    def restore_points_changed(self, run: JobRun, directories: Sequence[str], kept: Callable[[], None]) -> None:
        self._store.keep_checkpoints(run.graph.job_id, directories, kept)
