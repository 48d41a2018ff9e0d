"""The states of a job (`pyflink.common.job_status`)."""

from shmflink.client.job_status import JobStatus

__all__ = ["JobStatus"]
