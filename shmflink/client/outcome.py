"""How a job's end reaches the user's program: as a result or an exception. Pure."""

from __future__ import annotations

from typing import Final

from shmflink import errors
from shmflink.client.job_execution_result import JobExecutionResult
from shmflink.errors import (
    InternalError,
    JobCancelledError,
    JobExecutionError,
    JobManagerLostError,
    ResourceError,
    ShmflinkError,
)
from shmflink.rpc.messages import Failure, JobEnded
from shmflink.rpc.states import JobState

__all__ = ["cluster_error", "failure_text", "first_line", "outcome_of"]

_QUIET: Final = ("UserFunctionError", "TaskManagerLostError", "JobManagerLostError", "ResourceError")


def outcome_of(ended: JobEnded, name: str) -> JobExecutionResult | ShmflinkError:
    """The value or the exception of `execute()`.

    A job that was refused before anything ran raises the refusal itself (InsufficientSlotsError, ResourceError); a job
    that ran and failed raises JobExecutionError with the first cause.
    """
    job_id = str(ended.job_id)
    if ended.state is JobState.FINISHED:
        return JobExecutionResult(ended.job_id, ended.runtime_ms, ended.tasks)
    if ended.state is JobState.CANCELED:
        return JobCancelledError(f"job '{name}' ({job_id}) was canceled", job_id=job_id)
    if ended.state is JobState.SUSPENDED:
        text = "started again with the same high-availability.cluster-id, it resumes from its latest checkpoint"
        return JobCancelledError(f"job '{name}' ({job_id}) was suspended: {text}", job_id=job_id)
    failure = ended.failure
    if failure is None:
        return InternalError(f"job '{name}' ({job_id}) failed without a cause")
    if not ended.tasks and (refusal := _error_class(failure.kind)) is not None:
        return refusal(failure.message)
    text = failure_text(failure)
    return JobExecutionError(f"job '{name}' ({job_id}) failed: {text}", job_id=job_id, cause_text=text)


def cluster_error(failure: Failure) -> ShmflinkError:
    """The exception of every job of a cluster that ended because of its own failure, for example a system limit."""
    kind = _error_class(failure.kind)
    is_system = kind is not None and issubclass(kind, ResourceError)
    return (kind if kind is not None and is_system else JobManagerLostError)(f"the cluster ended: {failure.message}")


def _error_class(kind: str) -> type[ShmflinkError] | None:
    found = getattr(errors, kind, None)
    return found if isinstance(found, type) and issubclass(found, ShmflinkError) else None


def first_line(failure: Failure) -> str:
    """The cause without record and traceback, on one line."""
    return failure_text(failure).partition("\n")[0]


def failure_text(failure: Failure) -> str:
    """The cause for a person: what, where, on which record, and the user's own traceback if there is one."""
    where = f"{failure.task_name}: " if failure.task_name else ""
    source = f"source '{failure.operator}': " if failure.operator and not failure.task_name else ""
    if failure.kind in _QUIET:
        return f"{where}{source}{failure.message}".rstrip()
    text = f"{where}{source}{failure.kind}: {failure.message}"
    return f"{text}\n{failure.traceback_text}".rstrip() if failure.traceback_text else text
