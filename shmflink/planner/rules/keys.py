"""Keys: extracted in the tasks that produce the rows, which are then distributed by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.operators.columns.keys import ColumnKeyExtractor, ColumnKeys, KeyAndRowOperator
from shmflink.operators.functions.keyed_values import KeyedValuesOperator
from shmflink.operators.functions.user_function import describe_function
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.plan.calls import KeyBy, KeysAndElements, PartitionCustom, Values
from shmflink.planner.lowered import Lowered, Piece, Routing, Subtasks
from shmflink.planner.rules.columns import columns_type, described

if TYPE_CHECKING:
    from shmflink.core.types.typeinfo import TypeInformation
    from shmflink.operators.base import Operator
    from shmflink.plan.node import Node

__all__ = ["key_by", "keys_and_elements", "partition_custom", "values"]


def key_by(call: KeyBy, inputs: Sequence[Node]) -> Lowered:
    declared = inputs[0].output_type
    routing = Routing(ShipStrategy.HASH)
    why = f"keys on columns: {described(dict(call.columns))}" if call.columns is not None else _by(call.key)
    return Lowered(routing.name, declared, why, local=(_extractor("KeyBy", call, declared),), routing=routing)


def values(_call: Values, inputs: Sequence[Node]) -> Lowered:
    declared = inputs[0].output_type
    piece = Piece("_keyed_stream_values_operator", KeyedValuesOperator(), declared)
    return Lowered(piece.name, declared, "drops the keys", operators=(piece,))


def keys_and_elements(call: KeysAndElements, inputs: Sequence[Node]) -> Lowered:
    extractor = _extractor("KeyBy", call.key, inputs[0].output_type)
    pairs = Piece("Map", KeyAndRowOperator(), None)
    return Lowered("Map", None, "rows of key and element", local=(extractor,), operators=(pairs,))


def partition_custom(call: PartitionCustom, inputs: Sequence[Node]) -> Lowered:
    declared = inputs[0].output_type
    extractor = _extractor("PartitionCustom", KeyBy(call.key), declared)
    routing = Routing(ShipStrategy.CUSTOM, getattr(call.partitioner, "partition", call.partitioner))
    return Lowered(routing.name, declared, _by(call.key), local=(extractor,), routing=routing)


def _extractor(name: str, key: KeyBy, declared: TypeInformation | None) -> Piece:
    operator: Operator
    if key.columns is not None:
        operator = ColumnKeyExtractor(ColumnKeys(columns_type(declared, "key_by"), key.columns))
    else:
        operator = KeyExtractor(key.key, key.key_type)
    return Piece(name, operator, declared, subtasks=Subtasks.LIKE_INPUT)


def _by(selector: Any) -> str:
    return f"per record: keys computed by {describe_function(selector)}; key columns would be native"
