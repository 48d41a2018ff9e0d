"""Settings of one job (`pyflink.common.execution_config`)."""

from shmflink.config.execution_config import ExecutionConfig

__all__ = ["ExecutionConfig"]
