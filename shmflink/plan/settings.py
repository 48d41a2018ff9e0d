"""What a program sets on an operator, besides what the operator does."""

from __future__ import annotations

import enum
from typing import Final

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["MAX_PARALLELISM_LIMIT", "ChainingStrategy", "Settings"]

MAX_PARALLELISM_LIMIT: Final = 1 << 15  # Flink: Transformation.UPPER_BOUND_MAX_PARALLELISM


class ChainingStrategy(enum.StrEnum):
    """Whether an operator may be chained (Flink: ChainingStrategy)."""

    ALWAYS = "ALWAYS"
    HEAD = "HEAD"  # not chained to its input; consumers may be chained to it
    NEVER = "NEVER"


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings by the program; None means not set.

    `is_parallelism_fixed`: the connector or `force_non_parallel()` allows no other parallelism.
    """

    parallelism: int | None = None
    max_parallelism: int | None = None
    uid: str | None = None
    uid_hash: str | None = None
    slot_sharing_group: str | None = None
    buffer_timeout_ms: int | None = None
    chaining: ChainingStrategy = ChainingStrategy.ALWAYS
    is_parallelism_fixed: bool = False
