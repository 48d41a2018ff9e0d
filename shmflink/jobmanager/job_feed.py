"""What jobs tell reaches the dispatcher, and the command line that waits for their end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from shmflink.core.ids import JobId, TaskManagerId
from shmflink.jobmanager.control_socket import ControlSocket
from shmflink.jobmanager.dispatcher import Dispatcher
from shmflink.jobmanager.dispatcher_effects import Effect
from shmflink.jobmanager.job_control import RunControl
from shmflink.jobmanager.job_run import JobRun
from shmflink.rpc.messages import Failure, JobEnded, JobProgress
from shmflink.rpc.states import JobState

__all__ = ["JobFeed"]


class JobFeed:
    """A `job_runs.RunsListener`. Used by the event loop alone."""

    def __init__(self, dispatcher: Dispatcher, perform: Callable[[Iterable[Effect]], None]) -> None:
        self.control = RunControl({})
        """The jobs as the control socket sees them."""
        self.socket: ControlSocket | None = None
        """None until it listens, and if it cannot."""
        self._dispatcher = dispatcher
        self._perform = perform

    def job_entered(self, job_id: JobId, state: JobState, failure: Failure | None) -> None:
        self._perform(self._dispatcher.entered(job_id, state, failure))

    def job_notice(self, job_id: JobId, text: str) -> None:
        self._perform(self._dispatcher.notice(job_id, text))

    def job_progressed(self, progress: JobProgress) -> None:
        self._perform(self._dispatcher.progressed(progress))

    def job_ended(self, ended: JobEnded, run: JobRun | None, released: Sequence[TaskManagerId]) -> None:
        if run is not None:
            self.control.remember(run)
            if self.socket is not None:
                self.socket.job_ended(ended.job_id, ended.state, ended.failure)
        self._perform(self._dispatcher.ended(ended))

    def wants_progress(self, job_id: JobId) -> bool:
        return self._dispatcher.wants_progress(job_id)
