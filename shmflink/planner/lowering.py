"""Logical plan -> transformations: combines the results of all rules with numbers and settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

from shmflink.errors import InternalError
from shmflink.plan.calls import EveryUpdate, Final, Read, SideOutput, Union, Write
from shmflink.planner.carrying import carried_metadata, with_metadata
from shmflink.planner.lowered import Lowered, Piece, Routing, Subtasks
from shmflink.planner.rules import lowered
from shmflink.planner.transformations import (
    EveryUpdateTransformation,
    FinalTransformation,
    OperatorTransformation,
    PartitionTransformation,
    SideOutputTransformation,
    SinkTransformation,
    SourceTransformation,
    Transformation,
    UnionTransformation,
)

if TYPE_CHECKING:
    from shmflink.plan.logical_plan import LogicalPlan
    from shmflink.plan.node import Node

__all__ = ["lower"]


def lower(plan: LogicalPlan) -> list[Transformation]:
    """The transformations of the plan's ends, in their order.

    A node's last transformation has the node's settings. The others, which are invisible to the program, are configured
    like their input or by the environment.
    """
    made: dict[int, Transformation] = {}
    carried = carried_metadata(plan)
    for node in plan:
        inputs = plan.inputs_of(node)
        before = tuple(made[each.id] for each in inputs)
        operators = lowered(node.call, inputs)
        if isinstance(node.call, Write):
            operators = with_metadata(operators, carried[inputs[0].id])
        made[node.id] = _Placing(node, before).last(operators)
    return [made[end] for end in plan.ends]


class _Placing:
    """Gives the parts of one node their numbers, in order."""

    def __init__(self, node: Node, inputs: tuple[Transformation, ...]) -> None:
        self._node = node
        self._inputs = inputs
        self._ids: Iterator[int] = count(node.id)

    def last(self, made: Lowered) -> Transformation:
        if not made.pieces and made.routing is None:
            return self._alone(made)
        if made.local:
            self._inputs = (self._in_each_branch(self._inputs[0], made.local),)
        if made.routing is not None:
            routings = (made.routing, *made.other_routings)
            self._inputs = tuple(map(self._routed, self._inputs, routings))
        for piece in made.operators[:-1]:
            self._inputs = (self._operator(piece, self._inputs),)
        if not made.operators:
            return self._inputs[0]
        return OperatorTransformation(**self._settings(), operator=made.operators[-1].operator)

    def _routed(self, before: Transformation, routing: Routing) -> Transformation:
        return PartitionTransformation(
            next(self._ids),
            routing.name,
            (before,),
            before.output_type,
            place=self._node.place,
            origin=self._node.id,
            strategy=routing.strategy,
            partitioner=routing.partitioner,
            key_columns=routing.key_columns,
        )

    def _in_each_branch(self, t: Transformation, pieces: Sequence[Piece]) -> Transformation:
        """Places operators in the tasks that produce the rows, separately in each branch of a union."""
        if isinstance(t, UnionTransformation):
            branches = tuple(self._in_each_branch(branch, pieces) for branch in t.inputs)
            return UnionTransformation(next(self._ids), t.name, branches, branches[0].output_type)
        for piece in pieces:
            t = self._operator(piece, (t,))
        return t

    def _operator(self, piece: Piece, inputs: tuple[Transformation, ...]) -> Transformation:
        """A transformation that the program cannot configure."""
        parallelism = {Subtasks.DEFAULT: self._node.default_parallelism, Subtasks.LIKE_INPUT: None}
        return OperatorTransformation(
            next(self._ids),
            piece.name,
            inputs,
            piece.output_type,
            parallelism.get(piece.subtasks, 1),
            description=piece.description,
            is_parallelism_fixed=piece.subtasks in (Subtasks.ONE, Subtasks.ONE_FOR_GOOD),
            place=self._node.place,
            origin=self._node.id,
            operator=piece.operator,
        )

    def _alone(self, made: Lowered) -> Transformation:
        """Lowers a call that is not an operator."""
        node = self._node
        virtual = (next(self._ids), node.name, self._inputs, node.output_type)
        match node.call:
            case Read(source=source, watermark_strategy=strategy):
                return SourceTransformation(**self._settings(node.id), source=source, watermark_strategy=strategy)
            case Write():
                assert made.sink is not None, node
                return SinkTransformation(**self._settings(node.id), sink=made.sink)
            case Union():
                return UnionTransformation(*virtual, place=node.place)
            case SideOutput(tag=tag):
                return SideOutputTransformation(*virtual, place=node.place, output_tag=tag.tag_id)
            case Final():
                return FinalTransformation(*virtual, place=node.place)
            case EveryUpdate():
                return EveryUpdateTransformation(*virtual, place=node.place)
        raise InternalError(f"there is no rule for {type(node.call).__name__}")

    def _settings(self, own_id: int | None = None) -> dict[str, Any]:
        """The node's settings, for the transformation that represents it."""
        node, settings = self._node, self._node.settings
        return {
            "id": next(self._ids) if own_id is None else own_id,
            "name": node.name,
            "inputs": self._inputs,
            "output_type": node.output_type,
            "parallelism": settings.parallelism,
            "max_parallelism": settings.max_parallelism,
            "description": node.description,
            "uid": settings.uid,
            "uid_hash": settings.uid_hash,
            "slot_sharing_group": settings.slot_sharing_group,
            "buffer_timeout_ms": settings.buffer_timeout_ms,
            "chaining_strategy": settings.chaining,
            "is_parallelism_fixed": settings.is_parallelism_fixed,
            "place": node.place,
            "origin": node.id,
        }
