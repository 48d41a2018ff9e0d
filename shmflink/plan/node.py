"""One step of a logical plan: a call, its schemas and its settings."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from shmflink.core.lazy_dataclass import dataclass
from shmflink.plan.settings import Settings

if TYPE_CHECKING:
    from shmflink.core.types.typeinfo import TypeInformation
    from shmflink.plan.calls import Call

__all__ = ["Node"]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Immutable; `.name()` and other setters replace it by another.

    `id` is the number of the first operator that the node becomes, as plans show it; nodes are ordered by it. `inputs`
    are ids. A type that is None was not declared. `default_parallelism` is the environment's when the method was
    called, `place` the user's `file:line`. `has_timestamps`: rows may have event times. `branches` and `unions`: the
    number of streams that a union combines, and the number of unions that do so, nested ones included.
    """

    id: int
    name: str
    call: Call
    inputs: tuple[int, ...] = ()
    input_types: tuple[TypeInformation | None, ...] = ()
    output_type: TypeInformation | None = None
    settings: Settings = field(default_factory=Settings)
    description: str | None = None
    default_parallelism: int = 1
    has_timestamps: bool = False
    branches: int = 1
    unions: int = 0
    place: str = ""
