"""Turns a call into a node: its rule checks it and determines its name, its schema and its node numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shmflink.operators.functions.process import KeyedOperator
from shmflink.operators.time.timestamps_and_watermarks import TimestampsAndWatermarksOperator
from shmflink.plan.calls import Call, Read, Union, Write
from shmflink.plan.node import Node
from shmflink.plan.settings import ChainingStrategy, Settings
from shmflink.planner.lowered import Lowered, Subtasks
from shmflink.planner.rules import lowered

if TYPE_CHECKING:
    from shmflink.operators.base import Operator

__all__ = ["checked_node"]


def checked_node(
    node_id: int, call: Call, inputs: Sequence[Node], *, parallelism: int, place: str
) -> tuple[Node, int, bool]:
    """The node of `call`; the number of the next node; whether it runs even if nothing reads it.

    `parallelism` is the environment's. Raises the errors of the call's rule.
    """
    made = lowered(call, inputs)
    branches, unions = (inputs[0].branches, inputs[0].unions) if inputs else (1, 0)
    is_union = isinstance(call, Union)
    node = Node(
        node_id,
        made.name,
        call,
        tuple(before.id for before in inputs),
        tuple(before.output_type for before in inputs),
        made.output_type,
        _settings(call, made, parallelism),
        made.operators[-1].description if made.operators else None,
        default_parallelism=parallelism,
        has_timestamps=_has_timestamps(call, inputs, made),
        branches=sum(before.branches for before in inputs) if is_union else 1,
        unions=1 + sum(before.unions for before in inputs) if is_union else 0,
        place=place,
    )
    return node, node_id + made.numbers(branches, unions), bool(made.operators) or isinstance(call, Write)


def _settings(call: Call, made: Lowered, parallelism: int) -> Settings:
    """The settings until the program changes them."""
    if isinstance(call, Read):
        fixed = call.source.fixed_parallelism
        return Settings(fixed or parallelism, chaining=ChainingStrategy.HEAD, is_parallelism_fixed=fixed is not None)
    if made.sink is not None:
        fixed = made.sink.fixed_parallelism
        return Settings(fixed or parallelism, is_parallelism_fixed=fixed is not None)
    if not made.operators:
        return Settings()
    match made.operators[-1].subtasks:
        case Subtasks.DEFAULT:
            return Settings(parallelism)
        case Subtasks.ONE:
            return Settings(1, is_parallelism_fixed=True)
        case Subtasks.ONE_FOR_GOOD:
            return Settings(1, 1, is_parallelism_fixed=True)
        case Subtasks.LIKE_INPUT:
            return Settings()


def _has_timestamps(call: Call, inputs: Sequence[Node], made: Lowered) -> bool:
    """False if no source provides timestamps and no call in between sets them."""
    if isinstance(call, Read):
        strategy = call.watermark_strategy
        return call.source.gives_timestamps or (strategy is not None and strategy.timestamp_assigner is not None)
    return any(before.has_timestamps for before in inputs) or any(_sets_timestamps(p.operator) for p in made.pieces)


def _sets_timestamps(operator: Operator) -> bool:
    """Whether outputs may get timestamps: outputs of timers have them, and custom operators may set them."""
    module = type(operator).__module__
    if isinstance(operator, TimestampsAndWatermarksOperator):
        return operator.assigns
    return isinstance(operator, KeyedOperator) or "windows" in module or not module.startswith("shmflink.operators.")
