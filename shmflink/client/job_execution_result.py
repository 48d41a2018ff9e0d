"""What `execute()` returns (PyFlink: `pyflink.common.job_execution_result`)."""

from __future__ import annotations

from collections.abc import Sequence

from shmflink.core.ids import JobId
from shmflink.rpc.messages import TaskSummary

__all__ = ["JobExecutionResult"]


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
