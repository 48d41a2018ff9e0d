"""Values by key (`pyflink.common.configuration`)."""

from shmflink.config.configuration import Configuration

__all__ = ["Configuration"]
