"""The logical plan as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from shmflink.core.lazy_dataclass import dataclass

if TYPE_CHECKING:
    from shmflink.plan.node import Node

__all__ = ["LogicalPlan"]


@dataclass(frozen=True, slots=True, eq=False)
class LogicalPlan:
    """The complete definition of a program.

    `nodes`: inputs before consumers, in the program's order. `ends`: ids of the nodes that run even without consumers.
    `name`: the job's. `configuration`: settings of the whole job by key, from the program, the command line and files,
    including runtime mode, checkpoints and restarts.
    """

    nodes: tuple[Node, ...]
    ends: tuple[int, ...]
    name: str = ""
    configuration: Mapping[str, str] = field(default_factory=dict)
    _by_id: dict[int, Node] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_id", {node.id: node for node in self.nodes})

    def __getitem__(self, node_id: int) -> Node:
        return self._by_id[node_id]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def inputs_of(self, node: Node) -> tuple[Node, ...]:
        """The nodes whose rows `node` reads."""
        return tuple(self._by_id[before] for before in node.inputs)

    def consumers_of(self, node: Node) -> Sequence[Node]:
        """The nodes that read the rows of `node`, in the program's order."""
        return [other for other in self.nodes if node.id in other.inputs]
