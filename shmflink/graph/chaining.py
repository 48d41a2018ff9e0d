"""Which operators run in one task: Flink's chaining conditions.

Source: StreamingJobGraphGenerator.isChainable / isChainableInput.
"""

from __future__ import annotations

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.stream_graph import StreamEdge, StreamGraph, StreamNode
from shmflink.plan.settings import ChainingStrategy

__all__ = ["chain_heads", "chain_names", "is_chainable", "why_not_chainable"]


def why_not_chainable(graph: StreamGraph, edge: StreamEdge) -> str | None:
    """The first condition that keeps both ends of `edge` in different tasks; None when they are chained."""
    up, down = graph.nodes[edge.source], graph.nodes[edge.target]
    if not graph.is_chaining_enabled:
        return "chaining is disabled for the job"
    if len(down.in_edges) != 1:
        return f"'{down.name}' has {len(down.in_edges)} inputs"
    if edge.strategy is not ShipStrategy.FORWARD:
        return f"the edge is {edge.strategy}"
    if up.parallelism != down.parallelism:
        return f"parallelism differs: {up.parallelism} and {down.parallelism}"
    if up.slot_sharing_group != down.slot_sharing_group:
        return f"slot sharing groups differ: '{up.slot_sharing_group}' and '{down.slot_sharing_group}'"
    if up.max_parallelism != down.max_parallelism and not graph.chain_different_max_parallelism:
        return f"max parallelism differs: {up.max_parallelism} and {down.max_parallelism}"
    return _strategies_forbid(up, down)


def _strategies_forbid(up: StreamNode, down: StreamNode) -> str | None:
    if up.chaining_strategy is ChainingStrategy.NEVER:
        return f"'{up.name}' disables chaining"
    if down.chaining_strategy is ChainingStrategy.NEVER:
        return f"'{down.name}' disables chaining"
    if down.chaining_strategy is ChainingStrategy.HEAD:
        return f"'{down.name}' starts a new chain"
    return None


def is_chainable(graph: StreamGraph, edge: StreamEdge) -> bool:
    """True when both ends of `edge` run in one task."""
    return why_not_chainable(graph, edge) is None


def chain_heads(graph: StreamGraph) -> dict[int, int]:
    """Head node of the chain that each node is in; nodes in graph order."""
    heads: dict[int, int] = {}
    for node in graph.nodes.values():
        is_chained = len(node.in_edges) == 1 and is_chainable(graph, node.in_edges[0])
        heads[node.id] = heads[node.in_edges[0].source] if is_chained else node.id
    return heads


def chain_names(graph: StreamGraph, heads: dict[int, int]) -> dict[int, str]:
    """Name of each node with everything chained to it: `Source: a -> (Map, Filter -> Sink: b)`."""
    names: dict[int, str] = {}
    for node in reversed(graph.nodes.values()):  # ends of chains first
        tails = [names[e.target] for e in graph.out_edges(node.id) if heads[e.target] == heads[node.id]]
        joined = tails[0] if len(tails) == 1 else f"({', '.join(tails)})"
        names[node.id] = f"{node.name} -> {joined}" if tails else node.name
    return names
