"""The states of a job as PyFlink names them (`pyflink.common.job_status`)."""

from __future__ import annotations

from enum import Enum

__all__ = ["JobStatus"]


class JobStatus(Enum):
    """Possible states of a job. This version never enters RECONCILING."""

    CREATED = 0
    RUNNING = 1
    FAILING = 2
    FAILED = 3
    CANCELLING = 4
    CANCELED = 5
    FINISHED = 6
    RESTARTING = 7
    SUSPENDED = 8
    RECONCILING = 9

    def is_globally_terminal_state(self) -> bool:
        """True when the job has ended everywhere and will not be recovered."""
        return self in (JobStatus.FAILED, JobStatus.CANCELED, JobStatus.FINISHED)

    def is_terminal_state(self) -> bool:
        """True when this JobManager no longer runs the job."""
        return self.is_globally_terminal_state() or self is JobStatus.SUSPENDED
