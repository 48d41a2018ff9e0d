"""Joins of two streams of columns."""

from __future__ import annotations

from collections.abc import Sequence

from shmflink.core.types.typeinfo import schema_of
from shmflink.expressions import col
from shmflink.operators.joins.hash_join import HashJoinOperator
from shmflink.operators.joins.spec import JoinSpec
from shmflink.plan.calls import Join
from shmflink.plan.node import Node
from shmflink.planner.lowered import Lowered, Piece
from shmflink.planner.rules.aggregates import by_keys, check_keys
from shmflink.planner.rules.columns import columns_type

__all__ = ["join"]


def join(call: Join, inputs: Sequence[Node]) -> Lowered:
    """
    Raises:
        TypeMismatchError: keys of different types, or of a type without a stable hash; two columns of one name.
    """
    left, right = (schema_of(columns_type(node.output_type, "join")) for node in inputs)
    keys = [tuple((name, col(name)) for name in names) for names in (call.left_on, call.right_on)]
    check_keys(keys[0], {}, left)
    spec = JoinSpec(
        left, right, call.left_on, call.right_on, call.how, merges_keys=call.merges_keys, suffix=call.suffix
    )
    operator = HashJoinOperator(spec)
    pairs = ", ".join(a if a == b else f"{a} = {b}" for a, b in zip(call.left_on, call.right_on, strict=True))
    piece = Piece("Join", operator, operator.output_type, f"Join({call.how}, on {pairs})")
    why = "native: each subtask stores the right side by key and probes it with the left side"
    return Lowered(
        piece.name,
        piece.output_type,
        why,
        routing=by_keys(keys[0]),
        other_routings=(by_keys(keys[1]),),
        operators=(piece,),
    )
