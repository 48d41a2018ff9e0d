"""Identifies a job (`pyflink.common.job_id`)."""

from shmflink.core.ids import JobId as JobID

__all__ = ["JobID"]
