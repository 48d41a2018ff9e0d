"""The state of a job and its end: which end it takes, and what its owner does before the job is over.

::

    a request to end, or all regions finished ─ no attempt is left ─▶ outcome ─ the disk is idle ─▶ closing
    closing ─▶ KeepEnd (if no JobManager may run the job again) ─▶ CloseStorage ─▶ Over

A cause to fail wins over every other end. The first cause is the one reported.
"""

from __future__ import annotations

from shmflink.checkpoint.settings import CheckpointSettings
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.pointers import Pointers
from shmflink.rpc.messages import Failure
from shmflink.rpc.states import JobState

__all__ = ["JobEnd", "JobStatus"]


class JobStatus:
    """One per job. A terminal state comes with the effect `Over`, not with `StateEntered`."""

    def __init__(self, outlet: Outlet) -> None:
        self.state = JobState.CREATED
        self._outlet = outlet

    def enter(self, state: JobState, failure: Failure | None = None) -> None:
        """`failure`: why the job restarts."""
        self.state = state
        self._outlet.ask(ask.StateEntered(state, failure))

    def end(self, state: JobState) -> None:
        """The job is in a terminal state."""
        self.state = state


class JobEnd:
    """One per job."""

    def __init__(self, settings: CheckpointSettings, pointers: Pointers, status: JobStatus, outlet: Outlet) -> None:
        self.is_refused = False
        """The job could not even begin."""
        self.is_closing = False
        self.is_suspended = False
        """A canceled job may be resumed by another JobManager."""
        self._fatal: Failure | None = None
        self._is_cancelled = False
        self._outcome: tuple[JobState, Failure | None] | None = None
        self._keeps = {
            JobState.CANCELED: settings.retain_on_cancellation,
            JobState.FAILED: settings.retain_on_failure,
            JobState.SUSPENDED: True,
        }
        self._pointers = pointers
        self._status = status
        self._outlet = outlet

    # --- which end ---

    def fail(self, failure: Failure) -> None:
        """The job fails and does not restart."""
        self._fatal = self._fatal or failure

    def cancel(self) -> None:
        """The job is canceled, or suspended."""
        self._is_cancelled = True

    @property
    def is_cancelled(self) -> bool:
        """Or suspended."""
        return self._is_cancelled

    @property
    def is_requested(self) -> bool:
        """The job ends before its tasks have finished: nothing restarts."""
        return self._is_cancelled or self._fatal is not None

    def determine(self, *, are_all_finished: bool) -> None:
        """No attempt is left and none begins. The first outcome stays."""
        if self._outcome is None:
            self._outcome = self._outcome_now(are_all_finished)

    def _outcome_now(self, are_all_finished: bool) -> tuple[JobState, Failure | None] | None:
        if self._fatal is not None:
            return JobState.FAILED, self._fatal
        if are_all_finished:
            return JobState.FINISHED, None
        if not self._is_cancelled:
            return None
        return JobState.SUSPENDED if self.is_suspended else JobState.CANCELED, None

    # --- what is done before it ---

    @property
    def is_due(self) -> bool:
        """The outcome is determined, and the job may close once the disk is idle."""
        return self._outcome is not None and not self.is_closing

    def close(self) -> None:
        """Nothing of the job runs, and nothing is being written."""
        assert self._outcome is not None, "closed before the end"
        self.is_closing = True
        self._outlet.ask(ask.CloseEnumerators())
        state, failure = self._outcome
        if state.is_globally_terminal and not self.is_refused:
            self._outlet.ask(ask.KeepEnd(state, failure, self._keeps_checkpoints))
        else:
            self.kept()

    def kept(self) -> None:
        """The end is durable, or need not be."""
        self._outlet.ask(ask.CloseStorage(self._keeps_checkpoints))

    def over(self) -> None:
        """The storage is closed, or could not be closed."""
        assert self._outcome is not None, "over before the end"
        state, failure = self._outcome
        self._status.end(state)
        self._outlet.ask(ask.Over(state, failure, self._keeps_state, self.is_refused))

    @property
    def _keeps_checkpoints(self) -> bool:
        return self._keeps_state and bool(self._pointers.directories)

    @property
    def _keeps_state(self) -> bool:
        """Whether checkpoints stay after this end."""
        assert self._outcome is not None, "asked before the end"
        return self._keeps.get(self._outcome[0], False)
