"""Follows one job (PyFlink: `pyflink.common.job_client`)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from shmflink.client.completable_future import CompletableFuture
from shmflink.client.job_status import JobStatus
from shmflink.core.ids import JobId
from shmflink.errors import UsageError

__all__ = ["JobClient"]


class JobClient:
    """Made by an executor. All methods return at once; wait with `result()` of what they return."""

    def __init__(self, job_id: JobId, request_cancel: Callable[[JobId], None]) -> None:
        self._job_id = job_id
        self._request_cancel = request_cancel
        self._status = JobStatus.CREATED
        self._result = CompletableFuture()
        self._cancelled = CompletableFuture()
        self._lock = threading.Lock()

    def get_job_id(self) -> JobId:
        return self._job_id

    def get_job_status(self) -> CompletableFuture:
        """The JobStatus as far as the JobManager has told it."""
        return CompletableFuture.completed(self._status)

    def cancel(self) -> CompletableFuture:
        """Cancels the job; completed with None when the job is over, however it ended."""
        if not self._result.done():
            self._request_cancel(self._job_id)
        return self._cancelled

    def stop_with_savepoint(
        self, advance_to_end_of_event_time: bool, savepoint_directory: str | None = None
    ) -> CompletableFuture:
        """Needs checkpoints, which this version does not have."""
        return CompletableFuture.failed(_needs_checkpoints("stop_with_savepoint"))

    def trigger_savepoint(self, savepoint_directory: str | None = None) -> CompletableFuture:
        """Needs checkpoints, which this version does not have."""
        return CompletableFuture.failed(_needs_checkpoints("trigger_savepoint"))

    def get_accumulators(self) -> CompletableFuture:
        """Always empty: PyFlink gives Python functions no way to register accumulators."""
        return CompletableFuture.completed({})

    def get_job_execution_result(self) -> CompletableFuture:
        """The JobExecutionResult; raises the job's JobExecutionError where it did not finish."""
        return self._result

    # --- for the executor ---

    def status_changed(self, status: JobStatus) -> None:
        """*For executors.* The job entered a state."""
        self._status = status

    def ended(self, status: JobStatus, outcome: object) -> None:
        """*For executors.* The job is over: with its JobExecutionResult, or with the exception to raise."""
        with self._lock:
            self._status = status
            if isinstance(outcome, BaseException):
                self._result.complete_exceptionally(outcome)
            else:
                self._result.complete(outcome)
            self._cancelled.complete(None)


def _needs_checkpoints(method: str) -> UsageError:
    return UsageError(
        f"JobClient.{method}() needs checkpoints, which this version of shmflink does not have; cancel() ends the job"
    )
