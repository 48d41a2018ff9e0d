"""Follows one job (PyFlink: `pyflink.common.job_client`)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from shmflink.client.completable_future import CompletableFuture
from shmflink.client.job_execution_result import JobExecutionResult
from shmflink.client.job_status import JobStatus
from shmflink.core.ids import JobId
from shmflink.errors import UsageError

__all__ = ["JobClient"]


def _no_savepoints(_job_id: JobId, _target: str, _stops: bool, _drains: bool) -> CompletableFuture[str]:
    return CompletableFuture.failed(UsageError("a job that runs inline cannot take savepoints: run it on a cluster"))


class JobClient:
    """Created by an executor. All methods return at once; call `result()` on what they return to wait."""

    def __init__(
        self,
        job_id: JobId,
        request_cancel: Callable[[JobId], None],
        request_savepoint: Callable[[JobId, str, bool, bool], CompletableFuture[str]] = _no_savepoints,
    ) -> None:
        """`request_savepoint` takes the folder (empty = as configured), whether to stop, whether to drain."""
        self._job_id = job_id
        self._request_cancel = request_cancel
        self._request_savepoint = request_savepoint
        self._status = JobStatus.CREATED
        self._result: CompletableFuture[JobExecutionResult] = CompletableFuture()
        self._cancelled: CompletableFuture[None] = CompletableFuture()
        self._lock = threading.Lock()

    def get_job_id(self) -> JobId:
        return self._job_id

    def get_job_status(self) -> CompletableFuture[JobStatus]:
        """The JobStatus that the JobManager reported last."""
        return CompletableFuture.completed(self._status)

    def cancel(self) -> CompletableFuture[None]:
        """Cancels the job; completes with None when the job has ended in any way."""
        if not self._result.done():
            self._request_cancel(self._job_id)
        return self._cancelled

    def stop_with_savepoint(
        self, advance_to_end_of_event_time: bool, savepoint_directory: str | None = None
    ) -> CompletableFuture[str]:
        """Writes a savepoint and stops the job; gives its path. `advance_to_end_of_event_time` drains the job:
        all timers and windows fire first.

        `savepoint_directory` defaults to `execution.checkpointing.savepoint-dir`.
        """
        return self._request_savepoint(self._job_id, savepoint_directory or "", True, advance_to_end_of_event_time)

    def trigger_savepoint(self, savepoint_directory: str | None = None) -> CompletableFuture[str]:
        """Writes a savepoint while the job continues; gives its path. The folder is as for `stop_with_savepoint`."""
        return self._request_savepoint(self._job_id, savepoint_directory or "", False, False)

    def get_accumulators(self) -> CompletableFuture[dict[str, object]]:
        """Always empty: PyFlink gives Python functions no way to register accumulators."""
        return CompletableFuture.completed({})

    def get_job_execution_result(self) -> CompletableFuture[JobExecutionResult]:
        """The JobExecutionResult; raises the job's JobExecutionError if it did not finish."""
        return self._result

    # --- for the executor ---

    def admitted(self, job_id: JobId) -> None:
        """*For executors.* The job runs under this id, whichever id it was submitted with."""
        self._job_id = job_id

    def status_changed(self, status: JobStatus) -> None:
        """*For executors.* The job entered a state."""
        self._status = status

    def ended(self, status: JobStatus, outcome: JobExecutionResult | BaseException) -> None:
        """*For executors.* The job has ended: with its JobExecutionResult, or with the exception to raise."""
        with self._lock:
            self._status = status
            if isinstance(outcome, BaseException):
                self._result.complete_exceptionally(outcome)
            else:
                self._result.complete(outcome)
            self._cancelled.complete(None)
