"""How a job is executed (`pyflink.datastream.execution_mode`)."""

from __future__ import annotations

from enum import Enum

__all__ = ["RuntimeExecutionMode"]


class RuntimeExecutionMode(Enum):
    """STREAMING emits every update, BATCH final results. AUTOMATIC is BATCH when all sources are bounded."""

    STREAMING = 0
    BATCH = 1
    AUTOMATIC = 2
