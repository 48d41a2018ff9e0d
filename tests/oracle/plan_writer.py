"""A logical plan, call by call, as a program would write it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shmflink.connectors.arrow_tables import ArrowSource
from shmflink.graph.stream_graph import StreamGraph
from shmflink.plan.calls import Call, Read
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.plan.node import Node
from shmflink.planner.explain import explain
from shmflink.planner.lowering import lower
from shmflink.planner.recording import checked_node
from shmflink.planner.stream_graph_builder import StreamGraphOptions, build_stream_graph
from shmflink.planner.transformations import Transformation

TABLE = pa.table({"user": ["a", "b"], "price": pa.array([1, 2], pa.int64())})


class PlanWriter:
    """Each call gets the numbers behind those of the one before it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.ends: list[int] = []
        self.following = 1

    def call(self, call: Call, *inputs: Node) -> Node:
        place = f"job.py:{len(self.nodes) + 1}"
        node, self.following, runs = checked_node(self.following, call, inputs, parallelism=4, place=place)
        self.nodes.append(node)
        if runs:
            self.ends.append(node.id)
        return node

    def table(self, data: Any = TABLE) -> Node:
        source = ArrowSource(data)
        return self.call(Read(source, "table", source.produced_type))

    @property
    def plan(self) -> LogicalPlan:
        return LogicalPlan(tuple(self.nodes), tuple(self.ends))

    def transformations(self) -> dict[int, Transformation]:
        """All that the plan becomes, by number."""
        found: dict[int, Transformation] = {}
        waiting = lower(self.plan)
        while waiting:
            one = waiting.pop()
            found[one.id] = one
            waiting += one.inputs
        return dict(sorted(found.items()))

    def graph(self, **options: Any) -> StreamGraph:
        """The stream graph of the plan, at parallelism 4."""
        return build_stream_graph(lower(self.plan), "job", StreamGraphOptions(4, **options))

    def drawn(self, **options: Any) -> list[str]:
        """Each operator and the ways by which rows get to it: `3 HASH > 4 Map`."""
        lines: list[str] = []
        for node in self.graph(**options).nodes.values():
            ways = ", ".join(f"{edge.source} {edge.strategy}" for edge in node.in_edges)
            lines.append(f"{ways} > {node.id} {node.name}" if ways else f"{node.id} {node.name}")
        return lines

    def explained(self, **options: Any) -> str:
        """What `shmflink info --logical` prints."""
        return explain(self.plan, self.graph(**options))

    def block(self, node: Node, **options: Any) -> list[str]:
        """The lines of one call, without its number and what is in front of each line."""
        (found,) = [part for part in self.explained(**options).split("\n\n") if part.startswith(f"[{node.id}] ")]
        return [" ".join(line.split()) for line in found.removeprefix(f"[{node.id}] ").splitlines()]
