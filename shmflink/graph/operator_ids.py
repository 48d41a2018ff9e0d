"""Operator ids: they identify state when a job starts again.

An id comes from the uid if there is one, otherwise from the operator's place in the graph: its position in a
breadth-first walk from the sources and the ids of its inputs. Names, functions and parallelism do not matter, so they
may change between runs. Source: Flink's StreamGraphHasherV2; unlike there, chaining does not matter either, so
that turning it off loses no state.
"""

from __future__ import annotations

from collections import deque

from shmflink.core.ids import OperatorId
from shmflink.errors import JobGraphError
from shmflink.graph.stream_graph import StreamGraph, StreamNode
from shmflink.plan.place import named

__all__ = ["operator_ids"]

_UID_HASH_DIGITS = 32


def operator_ids(graph: StreamGraph) -> dict[int, OperatorId]:
    """Id of every node. Raises JobGraphError for a duplicate uid and for an invalid uid hash."""
    ids: dict[int, OperatorId] = {}
    waiting = deque(node for node in graph.nodes.values() if not node.in_edges)
    queued = {node.id for node in waiting}
    while waiting:
        node = waiting.popleft()
        if any(edge.source not in ids for edge in node.in_edges):
            queued.discard(node.id)  # queued again by its last input
            continue
        ids[node.id] = _id_of(node, len(ids), ids)
        for edge in graph.out_edges(node.id):
            if edge.target not in queued:
                queued.add(edge.target)
                waiting.append(graph.nodes[edge.target])
    _check_unique(graph, ids)
    return ids


def _id_of(node: StreamNode, position: int, ids: dict[int, OperatorId]) -> OperatorId:
    if node.uid_hash is not None:
        return OperatorId(_checked_hash(node.name, node.uid_hash))
    if node.uid is not None:
        return OperatorId.of(f"uid:{node.uid}")
    inputs = ",".join(ids[edge.source].hex for edge in node.in_edges)
    return OperatorId.of(f"node:{position}:{inputs}")


def _checked_hash(name: str, uid_hash: str) -> str:
    lowered = uid_hash.lower()
    if len(lowered) != _UID_HASH_DIGITS or any(digit not in "0123456789abcdef" for digit in lowered):
        raise JobGraphError(f"uid hash of '{name}' must be 32 hexadecimal digits, got '{uid_hash}'")
    return lowered


def _check_unique(graph: StreamGraph, ids: dict[int, OperatorId]) -> None:
    seen: dict[OperatorId, StreamNode] = {}
    for node in graph.nodes.values():
        other = seen.setdefault(ids[node.id], node)
        if other is not node:
            label = f"uid '{node.uid}'" if node.uid is not None else f"uid hash '{node.uid_hash}'"
            raise JobGraphError(
                f"{label} is used twice: for {named(other.name, other.place)} and for "
                f"{named(node.name, node.place)}. "
                "uids must be unique in a job: state is found by them"
            )
