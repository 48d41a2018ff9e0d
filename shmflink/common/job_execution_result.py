"""What execute() returns (`pyflink.common.job_execution_result`)."""

from shmflink.client.job_execution_result import JobExecutionResult

__all__ = ["JobExecutionResult"]
