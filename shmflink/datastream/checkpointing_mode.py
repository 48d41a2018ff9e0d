"""What checkpoints guarantee (PyFlink: `pyflink.datastream.checkpointing_mode`)."""

from __future__ import annotations

from enum import Enum

__all__ = ["CheckpointingMode"]


class CheckpointingMode(Enum):
    """EXACTLY_ONCE: after a recovery, state is as if every record had been seen once; AT_LEAST_ONCE: once or more
    often.
    """

    EXACTLY_ONCE = 0
    AT_LEAST_ONCE = 1
