"""What is not an operator: partitioning, unions, side outputs, and what is said of updates."""

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
    """Rows go where the strategy says. Of several in a row the last one counts."""
    routing = Routing(call.strategy)
    return Lowered(routing.name, inputs[0].output_type, f"no operator: {call.strategy} edge", routing=routing)


def union(_call: Union, inputs: Sequence[Node]) -> Lowered:
    """All rows of streams of one type.

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
    """What an operator or source hands out beside its rows. The type: the tag's, else what the source says."""
    declared, name = call.tag.declared_type, call.tag.tag_id
    before = inputs[0].call
    if declared is None and isinstance(before, Read):
        declared = before.source.side_output_type(name)
    return Lowered(f"side output '{name}'", declared, "no operator: an edge of its own")


def final(_call: Final, inputs: Sequence[Node]) -> Lowered:
    return Lowered("final()", inputs[0].output_type, "no operator: the aggregates in front of it wait for their end")


def every_update(_call: EveryUpdate, inputs: Sequence[Node]) -> Lowered:
    return Lowered("updates()", inputs[0].output_type, "no operator: every update is a row")
