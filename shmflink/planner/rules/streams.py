"""Calls that are not operators: partitioning, unions, side outputs, `final()` and `updates()`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shmflink.errors import TypeMismatchError
from shmflink.plan.calls import EveryUpdate, Final, Partition, Read, SideOutput, Union
from shmflink.planner.lowered import Lowered, Routing

if TYPE_CHECKING:
    from shmflink.plan.node import Node

__all__ = ["every_update", "final", "partition", "side_output", "union"]


def partition(call: Partition, inputs: Sequence[Node]) -> Lowered:
    """Distributes rows by the strategy. Of several partitionings in a row, the last one counts."""
    routing = Routing(call.strategy)
    return Lowered(routing.name, inputs[0].output_type, f"no operator: {call.strategy} edge", routing=routing)


def union(_call: Union, inputs: Sequence[Node]) -> Lowered:
    """All rows of several streams of the same type.

    Raises:
        TypeMismatchError: the types differ.
    """
    for other in inputs[1:]:
        if other.output_type != inputs[0].output_type:
            raise TypeMismatchError(
                f"Cannot union streams of different types: {inputs[0].output_type} and {other.output_type}"
            )
    return Lowered("Union", inputs[0].output_type, "no operator: its consumers read all inputs")


def side_output(call: SideOutput, inputs: Sequence[Node]) -> Lowered:
    """A side output of an operator or source. Its type is the tag's, otherwise the one that the source declares."""
    declared, name = call.tag.declared_type, call.tag.tag_id
    before = inputs[0].call
    if declared is None and isinstance(before, Read):
        declared = before.source.side_output_type(name)
    return Lowered(f"side output '{name}'", declared, "no operator: a separate edge")


def final(_call: Final, inputs: Sequence[Node]) -> Lowered:
    return Lowered(
        "final()", inputs[0].output_type, "no operator: the aggregates before it emit at the end of their input"
    )


def every_update(_call: EveryUpdate, inputs: Sequence[Node]) -> Lowered:
    return Lowered("updates()", inputs[0].output_type, "no operator: every update is a row")
