"""The result of a rule for one call: operators, their positions, and why."""

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
    """The parallelism of an operator if the program does not set it."""

    DEFAULT = "the environment's parallelism"
    LIKE_INPUT = "the parallelism of its first input"
    ONE = "one, which cannot be changed"
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
    """How rows are distributed to the subtasks of the next operator. `key_columns`: see PartitionTransformation."""

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

    `local` operators run in the tasks that produce the rows, separately in each branch of a union. The program's
    settings (name, uid, parallelism, ...) apply to the last of `operators`. `why` describes how the call runs, for
    `shmflink info --logical`. `sink`: for a call that writes, the sink with its input type.
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
        """How many node numbers of the plan it uses for an input with this many branches.

        A call without operators and routing (a source, a sink, a union, ...) uses one.
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
    """A call that becomes a single operator."""
    return Lowered(name, output_type, why, operators=(Piece(name, operator, output_type, description, subtasks),))
