"""What a rule makes of one call: operators, where they stand, and why."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from shmflink.core.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from shmflink.connectors.base import Sink
    from shmflink.core.ship_strategy import ShipStrategy
    from shmflink.core.types.typeinfo import TypeInformation
    from shmflink.operators.base import Operator

__all__ = ["Lowered", "Piece", "Routing", "Subtasks", "one_operator"]


class Subtasks(enum.Enum):
    """How many there are of an operator of which the program says nothing."""

    DEFAULT = "the environment's parallelism"
    LIKE_INPUT = "the parallelism of its first input"
    ONE = "one, and no other number"
    ONE_FOR_GOOD = "one, and one key group"


@dataclass(frozen=True, slots=True)
class Piece:
    """One operator."""

    name: str
    operator: Operator
    output_type: TypeInformation | None
    description: str | None = None
    subtasks: Subtasks = Subtasks.DEFAULT


@dataclass(frozen=True, slots=True)
class Routing:
    """How rows get to the subtasks of the next operator. `key_columns`: see PartitionTransformation."""

    strategy: ShipStrategy
    partitioner: Any = None
    key_columns: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.strategy.lower()}()"


@dataclass(frozen=True, slots=True)
class Lowered:
    """::

        input         ─▶ local ─▶ routing ─▶ operators
        other inputs  ─▶    other_routings ─▶

    `local` operators run where the rows are made, in each branch of a union by itself. The program's settings (name,
    uid, parallelism, ...) are those of the last of `operators`. `why` says in words how the call runs, for
    `shmflink info --logical`. `sink`: of a call that writes, the sink as it knows its input.
    """

    name: str
    output_type: TypeInformation | None
    why: str
    local: tuple[Piece, ...] = ()
    routing: Routing | None = None
    operators: tuple[Piece, ...] = ()
    sink: Sink | None = None
    other_routings: tuple[Routing, ...] = ()

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """All operators."""
        return self.local + self.operators

    def numbers(self, branches: int, unions: int) -> int:
        """How many numbers of the plan it takes behind an input of so many branches.

        What is neither operators nor routing (a source, a sink, a union, ...) is one thing of its own.
        """
        local = len(self.local) * branches + (unions if self.local else 0)
        routings = (self.routing is not None) + len(self.other_routings)
        return max(local + routings + len(self.operators), 1)


def one_operator(
    name: str,
    operator: Operator,
    output_type: TypeInformation | None,
    why: str,
    *,
    description: str | None = None,
    subtasks: Subtasks = Subtasks.DEFAULT,
) -> Lowered:
    """A call that is one operator behind its inputs."""
    return Lowered(name, output_type, why, operators=(Piece(name, operator, output_type, description, subtasks),))
