"""The states of jobs and tasks, as every process names them."""

from __future__ import annotations

import enum

__all__ = ["JobState", "TaskState"]


class JobState(enum.StrEnum):
    """Life of a job (Flink: JobStatus)."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    RESTARTING = "RESTARTING"  # after a failure: waiting for the delay and for slots
    FAILING = "FAILING"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELED = "CANCELED"
    FINISHED = "FINISHED"
    SUSPENDED = "SUSPENDED"  # stopped here but kept in the HA directory: a later JobManager resumes it

    @property
    def is_terminal(self) -> bool:
        """True when this JobManager no longer runs the job."""
        return self.is_globally_terminal or self is JobState.SUSPENDED

    @property
    def is_globally_terminal(self) -> bool:
        """True when the job has ended everywhere and will not be recovered."""
        return self in (JobState.FAILED, JobState.CANCELED, JobState.FINISHED)


class TaskState(enum.StrEnum):
    """Life of a task attempt (Flink: ExecutionState). INITIALIZING = built and open, waiting for the start."""

    CREATED = "CREATED"
    DEPLOYING = "DEPLOYING"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        return self in (TaskState.FINISHED, TaskState.CANCELED, TaskState.FAILED)
