"""How rows are distributed from the subtasks of one operator to those of the next."""

from __future__ import annotations

import enum

__all__ = ["ShipStrategy"]


class ShipStrategy(enum.StrEnum):
    """How an edge distributes rows (Flink's partitioners)."""

    FORWARD = "FORWARD"
    REBALANCE = "REBALANCE"
    RESCALE = "RESCALE"
    SHUFFLE = "SHUFFLE"
    HASH = "HASH"
    BROADCAST = "BROADCAST"
    GLOBAL = "GLOBAL"
    CUSTOM = "CUSTOM"

    @property
    def is_pointwise(self) -> bool:
        """Whether each producer connects to few consumers instead of all."""
        return self in (ShipStrategy.FORWARD, ShipStrategy.RESCALE)
