"""Functions of two streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shmflink.errors import JobGraphError
from shmflink.operators.functions.broadcast_process import BroadcastProcessOperator, KeyedBroadcastProcessOperator
from shmflink.operators.functions.co_process import (
    CoFlatMapOperator,
    CoMapOperator,
    CoProcessOperator,
    KeyedCoFlatMapOperator,
    KeyedCoMapOperator,
    KeyedCoProcessOperator,
)
from shmflink.planner.lowered import Lowered, one_operator
from shmflink.planner.rules.record_functions import is_keyed, per_record

if TYPE_CHECKING:
    from shmflink.operators.base import Operator
    from shmflink.plan.calls import BroadcastProcess, CoFlatMap, CoMap, CoProcess
    from shmflink.plan.node import Node

__all__ = ["broadcast_process", "co_flat_map", "co_map", "co_process"]


def co_map(call: CoMap, inputs: Sequence[Node]) -> Lowered:
    kind = KeyedCoMapOperator if _are_keyed(inputs) else CoMapOperator
    return _made("Co-Map", kind(call.function, call.declared), call, inputs)


def co_flat_map(call: CoFlatMap, inputs: Sequence[Node]) -> Lowered:
    kind = KeyedCoFlatMapOperator if _are_keyed(inputs) else CoFlatMapOperator
    return _made("Co-Flat Map", kind(call.function, call.declared), call, inputs)


def co_process(call: CoProcess, inputs: Sequence[Node]) -> Lowered:
    if _are_keyed(inputs):
        return _made("Keyed Co-Process", KeyedCoProcessOperator(call.function, call.declared), call, inputs)
    return _made("Co-Process", CoProcessOperator(call.function, call.declared), call, inputs)


def broadcast_process(call: BroadcastProcess, inputs: Sequence[Node]) -> Lowered:
    if is_keyed(inputs[0]):
        operator: Operator = KeyedBroadcastProcessOperator(call.function, call.states, call.declared)
        return _made("Keyed-Co-Process-Broadcast", operator, call, inputs)
    operator = BroadcastProcessOperator(call.function, call.states, call.declared)
    return _made("Co-Process-Broadcast", operator, call, inputs)


def _made(
    name: str,
    operator: Operator,
    call: CoMap | CoFlatMap | CoProcess | BroadcastProcess,
    inputs: Sequence[Node],
) -> Lowered:
    why = per_record(call.function, has_state=is_keyed(inputs[0]))
    return one_operator(name, operator, call.declared, why)


def _are_keyed(inputs: Sequence[Node]) -> bool:
    """
    Raises:
        JobGraphError: one stream is keyed and the other is not.
    """
    keyed = [is_keyed(node) for node in inputs]
    if keyed[0] != keyed[1]:
        which = "second" if keyed[0] else "first"
        raise JobGraphError(f"connect(): one stream is keyed and the other is not: call key_by() on the {which}, too")
    return keyed[0]
