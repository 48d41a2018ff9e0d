"""The stream graph: one node per operator, one edge per input; partitioning and unions are properties of edges.

The planner builds it from a logical plan; only the chains are still open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.graph.job_graph import NodeKind
from shmflink.plan.settings import MAX_PARALLELISM_LIMIT, ChainingStrategy

__all__ = ["StreamEdge", "StreamGraph", "StreamNode", "default_max_parallelism"]

_MAX_PARALLELISM_LOWER: Final = 128


@dataclass(frozen=True, slots=True)
class StreamEdge:
    """One input of one node. `input_index` distinguishes several inputs; a union shares one."""

    source: int
    target: int
    input_index: int
    strategy: ShipStrategy
    partitioner: Any = None
    output_tag: str | None = None
    key_columns: tuple[str, ...] = ()
    row_type: Any = None  # the declared type of the rows


@dataclass(frozen=True, slots=True)
class StreamNode:
    """One operator, with everything decided except its chain. `payload` is the Source, Operator or Sink itself."""

    id: int
    name: str
    description: str
    kind: NodeKind
    payload: Any
    output_type: Any
    parallelism: int
    max_parallelism: int | None
    slot_sharing_group: str
    co_location_group: str | None
    chaining_strategy: ChainingStrategy
    uid: str | None
    uid_hash: str | None
    buffer_timeout_ms: int
    in_edges: tuple[StreamEdge, ...]
    watermark_strategy: WatermarkStrategy | None = None  # of sources
    changelog: str = ""  # what its rows are where they are not insert-only, in words
    place: str = ""  # `file:line` of the user's program
    origin: int = 0  # the node of the logical plan that it comes of; 0: none


@dataclass(frozen=True, slots=True)
class StreamGraph:
    """`nodes` by id, inputs before consumers."""

    name: str
    is_batch: bool
    is_chaining_enabled: bool
    chain_different_max_parallelism: bool
    nodes: dict[int, StreamNode] = field(default_factory=dict)
    _out_edges: dict[int, list[StreamEdge]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for edge in self.edges:
            self._out_edges.setdefault(edge.source, []).append(edge)

    @property
    def edges(self) -> tuple[StreamEdge, ...]:
        return tuple(edge for node in self.nodes.values() for edge in node.in_edges)

    def out_edges(self, node: int) -> Sequence[StreamEdge]:
        """Edges out of one node, in order of their targets."""
        return self._out_edges.get(node, ())


def default_max_parallelism(parallelism: int) -> int:
    """Default number of key groups: 1.5 x parallelism, rounded up to a power of two, in [128,
    32768].

    Source: Flink's KeyGroupRangeAssignment.computeDefaultMaxParallelism.
    """
    wanted = parallelism + parallelism // 2
    return min(max(1 << (wanted - 1).bit_length(), _MAX_PARALLELISM_LOWER), MAX_PARALLELISM_LIMIT)
