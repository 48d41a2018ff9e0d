"""The jobs of a JobManager, and the clients that follow them. Pure: each method takes an event and returns effects.

::

    submit ─ Admit ─▶ admitting ─ admitted ─ Run ─▶ running ─ ended ─▶ remembered, for clients that ask later
                          └─ refused ─▶ reported             (the job machine knows whether it waits, runs, restarts)

The dispatcher owns the jobs. Clients come and go: a job reports to the clients that are attached to it, and continues
without them. Only one rule, `Lifetime`, binds a cluster to a client; no other code depends on who started what.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import field
from typing import Final

from shmflink.config.session_options import SHUTDOWN_ON_ATTACHED_EXIT
from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.jobmanager.admission import Admission
from shmflink.jobmanager.dispatcher_effects import (
    Admit,
    Cancel,
    ClientId,
    Effect,
    ReportProgress,
    Run,
    Stop,
    Suspend,
    Tell,
    Withdraw,
)
from shmflink.rpc.control_messages import RequestFailed
from shmflink.rpc.messages import (
    ClusterFailed,
    Failure,
    JobAdmitted,
    JobEnded,
    JobNotice,
    JobProgress,
    JobsRecovered,
    JobStatusChanged,
    SubmitJob,
)
from shmflink.rpc.states import JobState

__all__ = ["Dispatcher", "Lifetime"]

_REMEMBERED_MAX: Final = 50


class Lifetime(enum.Enum):
    """When a cluster ends by itself.

    CLIENT (an embedded cluster): with the client that started it or, if that client left detached jobs, with the last
    of those. SERVICE (a session cluster): only on request.
    """

    CLIENT = "client"
    SERVICE = "service"


# --- state ---


@dataclass(slots=True)
class _Submitted:
    """A job that is being admitted. `is_canceled`: it will be canceled as soon as it runs."""

    client: ClientId
    submission: SubmitJob
    is_canceled: bool = False


@dataclass(slots=True)
class _Job:
    """A job that has not ended. `clients`: the attached clients, and whether they want its progress. `bound_to`: the
    client without which it is canceled.
    """

    is_detached: bool
    state: JobState = JobState.CREATED
    clients: dict[ClientId, bool] = field(default_factory=dict)
    bound_to: ClientId | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """A client's request that arrived before jobs could be admitted."""

    client: ClientId
    request: SubmitJob | JobId
    force: bool = False


class Dispatcher:
    """One per JobManager."""

    def __init__(self) -> None:
        self.is_ending = False
        """The cluster is ending: no job begins any longer."""
        self.is_suspending = False
        """Jobs that have not ended are kept for another JobManager."""
        self._lifetime = Lifetime.CLIENT
        self._owner: ClientId | None = None  # the client that started the cluster
        self._clients: set[ClientId] = set()
        self._is_open = False
        self._keeps_jobs = False
        self._is_left = False  # the owner has disconnected and left detached jobs
        self._has_stopped = False
        self._held: list[_Held] = []
        self._admitting: dict[JobId, _Submitted] = {}  # by the id that the client assigned
        self._jobs: dict[JobId, _Job] = {}
        self._ended: dict[JobId, JobEnded] = {}  # the latest last

    # --- queries ---

    @property
    def clients(self) -> tuple[ClientId, ...]:
        """The connected clients, in the order of their ids."""
        return tuple(sorted(self._clients, key=lambda client: client.number))

    def wants_progress(self, job_id: JobId) -> bool:
        """Whether an attached client has requested the job's progress."""
        job = self._jobs.get(job_id)
        return job is not None and any(job.clients.values())

    # --- clients ---

    def connected(self, client: ClientId) -> None:
        """A client has connected: it may submit jobs and attach to them."""
        self._clients.add(client)

    def started(self, client: ClientId, lifetime: Lifetime) -> None:
        """The client that started the cluster determines when the cluster ends by itself."""
        self._owner, self._lifetime = client, lifetime

    def disconnected(self, client: ClientId) -> list[Effect]:
        """A client has disconnected: its jobs continue, unless the cluster's lifetime is the client's."""
        self._clients.discard(client)
        for job in self._jobs.values():
            job.clients.pop(client, None)
        if self._lifetime is Lifetime.SERVICE or self._owner not in (client, None):
            return self._cancel_bound(client)
        coming = self._admitting.values()
        if not any((*(job.is_detached for job in self._jobs.values()), *(one.submission.detached for one in coming))):
            return self.shut_down(suspends=True)
        self._is_left = True
        for one in coming:
            one.is_canceled |= not one.submission.detached
        return [Cancel(job_id, force=False) for job_id, job in self._jobs.items() if not job.is_detached]

    def _cancel_bound(self, client: ClientId) -> list[Effect]:
        for one in self._admitting.values():
            one.is_canceled |= one.client == client and _is_bound(one.submission)
        return [Cancel(job_id, force=False) for job_id, job in self._jobs.items() if job.bound_to == client]

    def attach(self, client: ClientId, job_id: JobId, *, progress: bool) -> list[Effect]:
        """Attaches the client to the job: it receives the current state, all changes, and the end."""
        if job_id in self._ended:
            return [Tell(client, self._ended[job_id])]
        job = self._jobs.get(job_id)
        if job is None:
            return [Tell(client, RequestFailed(job_id, "UsageError", f"the JobManager has no job {job_id}"))]
        reported = any(job.clients.values())
        job.clients[client] = progress
        effects: list[Effect] = [Tell(client, JobStatusChanged(job_id, job.state))]
        return [*effects, ReportProgress(job_id)] if progress and not reported else effects

    def detach(self, client: ClientId, job_id: JobId) -> None:
        """Detaches the client from the job; the job outlives the client."""
        job = self._jobs.get(job_id)
        if job is not None:
            job.clients.pop(client, None)
            job.is_detached = True

    # --- requests ---

    def opened(self, *, keeps_jobs: bool, recovered: Sequence[SubmitJob] | None) -> list[Effect]:
        """Jobs can be admitted from now on. `keeps_jobs`: they outlive this JobManager. `recovered`: the jobs that run
        again; None: a job runs only when its program submits it.
        """
        self._is_open, self._keeps_jobs = True, keeps_jobs
        effects: list[Effect] = []
        if recovered is not None and self._owner is not None:
            for submission in recovered:
                effects += self.submit(self._owner, submission)
            found = tuple(submission.graph.job_id for submission in recovered)
            effects.append(Tell(self._owner, JobsRecovered(found)))
        held, self._held = self._held, []
        for one in held:
            if isinstance(one.request, SubmitJob):
                effects += self.submit(one.client, one.request)
            else:
                effects += self.cancel(one.client, one.request, force=one.force)
        return effects

    def submit(self, client: ClientId, submission: SubmitJob) -> list[Effect]:
        """Registers the job. Submitting it again has no effect."""
        job_id = submission.graph.job_id
        if not self._is_open:
            self._held.append(_Held(client, submission))
            return []
        if job_id in self._jobs or job_id in self._admitting or self.is_ending:
            return []
        self._admitting[job_id] = _Submitted(client, submission)
        return [Admit(submission)]

    def cancel(self, client: ClientId, job_id: JobId, *, force: bool) -> list[Effect]:
        """Cancels a job. An unknown job has ended: there is nothing to cancel."""
        if not self._is_open:
            self._held.append(_Held(client, job_id, force))
        elif job_id in self._admitting:
            self._admitting[job_id].is_canceled = True
        elif job_id in self._jobs:
            return [Cancel(job_id, force)]
        return []

    def shut_down(self, *, suspends: bool) -> list[Effect]:
        """Ends the cluster: suspends its jobs if that is requested and another JobManager can find them, otherwise
        cancels them.
        """
        if self.is_ending:
            return []
        self.is_ending = True
        self.is_suspending = suspends and self._keeps_jobs
        self._held = []
        effects: list[Effect] = [
            Suspend(job_id) if self.is_suspending else Cancel(job_id, force=False) for job_id in self._jobs
        ]
        return effects + self._stop_if_idle()

    # --- answers to effects ---

    def admitted(self, submitted: JobId, admission: Admission, resumption: str) -> list[Effect]:
        """Answers `Admit`. `resumption`: from where a stored job resumes, as a sentence; empty for a new job."""
        before = self._admitting.pop(submitted)
        client, job_id = before.client, admission.job_id
        tells = self._keeps_jobs or self._lifetime is Lifetime.SERVICE
        effects: list[Effect] = [Tell(client, JobAdmitted(submitted, job_id))] if tells else []
        if job_id in self._jobs:  # the previous JobManager died before the client received the id
            return effects + self.attach(client, job_id, progress=before.submission.progress)
        effects.append(Tell(client, JobStatusChanged(job_id, JobState.CREATED)))
        if admission.ended is not None:
            self._remember(admission.ended)
            return effects + _ended_before(client, admission, admission.ended) + self._stop_if_idle()
        if self.is_ending:
            return effects + _not_run(client, job_id, is_kept=self.is_suspending) + self._stop_if_idle()
        is_connected = client in self._clients
        job = _Job(before.submission.detached, bound_to=client if _is_bound(before.submission) else None)
        self._jobs[job_id] = job
        if is_connected:
            job.clients[client] = before.submission.progress
        effects.append(Run(admission, resumption))
        if before.submission.progress and is_connected:
            effects.append(ReportProgress(job_id))
        if before.is_canceled:
            effects.append(Cancel(job_id, force=False))
        return effects

    def refused(self, submitted: JobId, failure: Failure) -> list[Effect]:
        """Answers `Admit`: the job cannot run here."""
        client = self._admitting.pop(submitted).client
        ended = JobEnded(submitted, JobState.FAILED, 0, failure, ())
        return [Tell(client, ended), *self._stop_if_idle()]

    # --- reports of jobs ---

    def entered(self, job_id: JobId, state: JobState, failure: Failure | None) -> list[Effect]:
        """A job has entered a state. `failure`: why it restarts."""
        self._jobs[job_id].state = state
        return self._tell(job_id, JobStatusChanged(job_id, state, failure))

    def notice(self, job_id: JobId, text: str) -> list[Effect]:
        """News for people about a job that continues; names the job."""
        return self._tell(job_id, JobNotice(job_id, text))

    def progressed(self, progress: JobProgress) -> list[Effect]:
        """Counters of a running job."""
        job = self._jobs[progress.job_id]
        return [Tell(client, progress) for client, wanted in job.clients.items() if wanted]

    def ended(self, ended: JobEnded) -> list[Effect]:
        """A job has ended and has released everything it held."""
        effects = self._tell(ended.job_id, ended)
        del self._jobs[ended.job_id]
        self._remember(ended)
        return effects + self._stop_if_idle()

    def failed(self, failure: Failure, ends: Sequence[JobEnded]) -> list[Effect]:
        """The cluster cannot continue. `ends`: the ends of the jobs that had not ended."""
        effects = [effect for ended in ends for effect in self._tell(ended.job_id, ended)]
        return effects + [Tell(client, ClusterFailed(failure)) for client in self.clients]

    # --- inside ---

    def _tell(self, job_id: JobId, message: object) -> list[Effect]:
        return [Tell(client, message) for client in self._jobs[job_id].clients]

    def _remember(self, ended: JobEnded) -> None:
        self._ended.pop(ended.job_id, None)
        self._ended[ended.job_id] = ended
        if len(self._ended) > _REMEMBERED_MAX:
            del self._ended[next(iter(self._ended))]

    def _stop_if_idle(self) -> list[Effect]:
        if self._jobs or self._admitting or self._has_stopped:
            return []
        if self._is_left and not self.is_ending:
            return self.shut_down(suspends=False)
        self._has_stopped = self.is_ending
        return [Stop()] if self.is_ending else []


def _is_bound(submission: SubmitJob) -> bool:
    """To its client: the job is canceled when that one dies."""
    return not submission.detached and SHUTDOWN_ON_ATTACHED_EXIT.read(submission.configuration)


def _ended_before(client: ClientId, admission: Admission, ended: JobEnded) -> list[Effect]:
    """Reports a job that had already ended and is not run again."""
    if admission.ended_under is None:
        return [Tell(client, ended)]
    how = f"has {ended.state.value.lower()} under JobManager pid {admission.ended_under}"
    text = f"job '{admission.submission.graph.name}' {how}: nothing is run again"
    return [Tell(client, JobNotice(admission.job_id, text)), Tell(client, ended)]


def _not_run(client: ClientId, job_id: JobId, *, is_kept: bool) -> list[Effect]:
    """Reports that the cluster ended while the job was being admitted."""
    state = JobState.SUSPENDED if is_kept else JobState.CANCELED
    told = Tell(client, JobEnded(job_id, state, 0, None, ()))
    return [told] if is_kept else [Withdraw(job_id), told]
