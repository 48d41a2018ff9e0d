"""What `execute()` returns (PyFlink: `pyflink.common.job_execution_result`)."""

from __future__ import annotations

from collections.abc import Sequence

from shmflink.core.ids import JobId
from shmflink.errors import UsageError
from shmflink.rpc.messages import TaskSummary

__all__ = ["DetachedJobExecutionResult", "JobExecutionResult"]


class JobExecutionResult:
    """The result of a job that finished. `tasks` (*shmflink only*): counters of every subtask."""

    def __init__(self, job_id: JobId, net_runtime_ms: int, tasks: Sequence[TaskSummary] = ()) -> None:
        self._job_id = job_id
        self._net_runtime_ms = net_runtime_ms
        self.tasks = tuple(tasks)

    def get_job_id(self) -> JobId:
        return self._job_id

    def get_net_runtime(self) -> int:
        """Milliseconds from the job's start to its end, without building the graph or starting a cluster."""
        return self._net_runtime_ms

    def get_accumulator_result(self, accumulator_name: str) -> object:
        """The accumulator's value, None if there is none."""
        return self.get_all_accumulator_results().get(accumulator_name)

    def get_all_accumulator_results(self) -> dict[str, object]:
        """Always empty: PyFlink gives Python functions no way to register accumulators."""
        return {}

    def __str__(self) -> str:
        return (
            "Program execution finished\n"
            f"Job with JobID {self._job_id} has finished.\n"
            f"Job Runtime: {self._net_runtime_ms} ms"
        )


class DetachedJobExecutionResult(JobExecutionResult):
    """Of a job that was submitted in detached mode: only its id is known."""

    def __init__(self, job_id: JobId) -> None:
        super().__init__(job_id, -1)

    def get_net_runtime(self) -> int:
        """Raises UsageError."""
        raise _detached()

    def get_accumulator_result(self, accumulator_name: str) -> object:
        """Raises UsageError."""
        raise _detached()

    def get_all_accumulator_results(self) -> dict[str, object]:
        """Raises UsageError."""
        raise _detached()

    def __str__(self) -> str:
        return f"Job has been submitted with JobID {self._job_id}"


def _detached() -> UsageError:
    return UsageError(
        "the job was submitted in detached mode: its results (runtime, accumulators) are not available. Run it without "
        "-d to wait for them"
    )
