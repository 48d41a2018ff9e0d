"""Passes the reports of jobs to the dispatcher, and to commands that wait for their end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from shmflink.core.ids import JobId, TaskManagerId
from shmflink.jobmanager.control_socket import ControlSocket
from shmflink.jobmanager.dispatcher import Dispatcher
from shmflink.jobmanager.dispatcher_effects import Effect
from shmflink.jobmanager.job_control import RunControl
from shmflink.jobmanager.job_run import JobRun
from shmflink.rpc.messages import Failure, JobEnded, JobProgress
from shmflink.rpc.states import JobState

__all__ = ["JobFeed"]

_LOG: Final = logging.getLogger(__name__)


class JobFeed:
    """A `job_runs.RunsListener`. Used only by the event loop."""

    def __init__(self, dispatcher: Dispatcher, perform: Callable[[Iterable[Effect]], None]) -> None:
        self.control: RunControl | None = None
        """The jobs as the control socket sees them; None until the cluster starts."""
        self.socket: ControlSocket | None = None
        """The control socket; None until it listens, and if it cannot."""
        self.is_of_session = False
        """The log tells the news of the jobs of a session cluster: their programs may be gone."""
        self._dispatcher = dispatcher
        self._perform = perform

    def job_entered(self, job_id: JobId, state: JobState, failure: Failure | None) -> None:
        if failure is not None and self.is_of_session:
            _LOG.warning("job %s restarts: %s", job_id, failure.message)
        self._perform(self._dispatcher.entered(job_id, state, failure))

    def job_notice(self, job_id: JobId, text: str) -> None:
        if self.is_of_session:
            _LOG.warning("%s", text)
        self._perform(self._dispatcher.notice(job_id, text))

    def job_progressed(self, progress: JobProgress) -> None:
        self._perform(self._dispatcher.progressed(progress))

    def job_ended(self, ended: JobEnded, run: JobRun | None, released: Sequence[TaskManagerId]) -> None:
        if run is not None:
            assert self.control is not None, "a job before the cluster was started"
            self.control.remember(run)
            if self.socket is not None:
                self.socket.job_ended(ended.job_id, ended.state, ended.failure)
        if ended.failure is not None and self.is_of_session:
            _LOG.error("job %s is %s: %s", ended.job_id, ended.state.value, ended.failure.message)
        self._perform(self._dispatcher.ended(ended))

    def wants_progress(self, job_id: JobId) -> bool:
        return self._dispatcher.wants_progress(job_id)
