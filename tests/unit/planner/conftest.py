"""A logical plan, call by call, as a program would write it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shmflink.connectors.arrow_tables import ArrowSource
from shmflink.plan.calls import Call, Read
from shmflink.plan.logical_plan import LogicalPlan
from shmflink.plan.node import Node
from shmflink.planner.lowering import lower
from shmflink.planner.recording import checked_node
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


@pytest.fixture
def writer() -> PlanWriter:
    return PlanWriter()
