"""Messages of the subtasks of a sink to its global committer (Flink: CommittableMessage)."""

from __future__ import annotations

from typing import Any

from shmflink.core.batch import Batch
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain
from shmflink.core.types.typeinfo import Types

__all__ = ["AtEnd", "Committed", "Ended", "message"]


@dataclass(frozen=True, slots=True)
class Committed:
    """A subtask has committed all that it staged for checkpoints up to this one; `committables`: the (checkpoint id,
    committable) that it has not reported before.
    """

    subtask: int
    subtasks: int
    checkpoint_id: int
    committables: tuple[tuple[int, Any], ...]


@dataclass(frozen=True, slots=True)
class AtEnd:
    """A subtask has written everything; nothing but commits follows."""

    subtask: int
    subtasks: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing follows."""

    subtask: int
    subtasks: int


def message(told: Committed | AtEnd | Ended) -> Batch:
    """The message as a batch, the form in which it is sent."""
    return Batch.of_rows([told], Types.PICKLED_BYTE_ARRAY())


for _kind in (Committed, AtEnd, Ended):
    register_plain(_kind)
