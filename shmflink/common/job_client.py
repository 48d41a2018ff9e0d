"""Follows one job (`pyflink.common.job_client`)."""

from shmflink.client.job_client import JobClient

__all__ = ["JobClient"]
