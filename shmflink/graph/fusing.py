"""Neighbors of one chain that run as one operator, where they allow it (`Operator.fused_with`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from shmflink.core.lazy_dataclass import dataclass
from shmflink.graph.stream_graph import StreamGraph, StreamNode
from shmflink.operators.base import Operator

__all__ = ["Fusing", "fuse"]


@dataclass(frozen=True, slots=True)
class Fusing:
    """`leader` of a node: the first of those that run as one. `payload` of a leader: what runs for all of them."""

    leader: dict[int, int] = field(default_factory=dict)
    payload: dict[int, Any] = field(default_factory=dict)

    def members(self, leader: int) -> list[int]:
        """The nodes that run as one with `leader`, in order."""
        return [node for node, first in self.leader.items() if first == leader]


def fuse(graph: StreamGraph, heads: Mapping[int, int]) -> Fusing:
    """`heads`: the head of each node's chain. A node whose rows others read, too, keeps them for itself."""
    fusing = Fusing()
    last: dict[int, StreamNode] = {}
    for node in graph.nodes.values():
        is_chained = heads[node.id] != node.id
        leader = fusing.leader[node.in_edges[0].source] if is_chained else node.id
        fused = _fused(fusing.payload[leader], last[leader], node, graph) if is_chained else None
        if fused is None:
            leader = node.id
        fusing.leader[node.id] = leader
        fusing.payload[leader] = node.payload if fused is None else fused
        last[leader] = node
    return fusing


def _fused(payload: Any, before: StreamNode, node: StreamNode, graph: StreamGraph) -> Operator | None:
    """One operator for both, if they allow it and nobody else reads the rows between them."""
    edges = graph.out_edges(before.id)
    if len(edges) != 1 or edges[0].target != node.id or edges[0].output_tag is not None:
        return None
    if not isinstance(payload, Operator) or not isinstance(node.payload, Operator):
        return None
    return payload.fused_with(node.payload)
