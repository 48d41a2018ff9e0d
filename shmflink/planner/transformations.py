"""The first form of a lowered plan: one transformation per operator, and per partitioning, union or side output.

Partitioning, union and side output are transformations without an operator; the stream graph turns them into properties
of edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final

from shmflink.core.lazy_dataclass import dataclass
from shmflink.plan.settings import ChainingStrategy

if TYPE_CHECKING:
    from shmflink.connectors.base import Sink, Source
    from shmflink.core.ship_strategy import ShipStrategy
    from shmflink.core.watermark_strategy import WatermarkStrategy
    from shmflink.operators.base import Operator

__all__ = [
    "DEFAULT_SLOT_SHARING_GROUP",
    "EveryUpdateTransformation",
    "FinalTransformation",
    "OperatorTransformation",
    "PartitionTransformation",
    "SideOutputTransformation",
    "SinkTransformation",
    "SourceTransformation",
    "Transformation",
    "UnionTransformation",
    "ancestors_first",
]

DEFAULT_SLOT_SHARING_GROUP: Final = "default"


@dataclass(frozen=True, slots=True, eq=False)
class Transformation:
    """The common part.

    `parallelism` None means: like the first input, also for max parallelism and buffer timeout. Other fields that are
    None are not set.
    """

    id: int
    name: str
    inputs: tuple[Transformation, ...] = ()
    output_type: Any = None
    parallelism: int | None = None
    max_parallelism: int | None = None
    description: str | None = None
    uid: str | None = None
    uid_hash: str | None = None
    slot_sharing_group: str | None = None
    co_location_group: str | None = None
    buffer_timeout_ms: int | None = None
    chaining_strategy: ChainingStrategy = ChainingStrategy.ALWAYS
    is_parallelism_fixed: bool = False  # the connector or `force_non_parallel()` allows no other parallelism
    place: str = ""  # `file:line` of the user's program
    origin: int = 0  # the node of the logical plan from which it comes; 0: none


@dataclass(frozen=True, slots=True, eq=False)
class SourceTransformation(Transformation):
    """Reads a source."""

    source: Source = field(kw_only=True)
    watermark_strategy: WatermarkStrategy | None = None
    chaining_strategy: ChainingStrategy = ChainingStrategy.HEAD


@dataclass(frozen=True, slots=True, eq=False)
class OperatorTransformation(Transformation):
    """Applies an operator; input i of the operator is `inputs[i]`."""

    operator: Operator = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class SinkTransformation(Transformation):
    """Writes to a sink."""

    sink: Sink = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class PartitionTransformation(Transformation):
    """How consumers receive this stream. `partitioner` (CUSTOM): (key, number of partitions) -> index.

    `key_columns` (HASH): the columns that are the key; none = the keys that a key extractor has added to the batch.
    """

    strategy: ShipStrategy = field(kw_only=True)
    partitioner: Any = None
    key_columns: tuple[str, ...] = ()


class UnionTransformation(Transformation):
    """All inputs as one stream."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, eq=False)
class SideOutputTransformation(Transformation):
    """The side output `output_tag` of its input."""

    output_tag: str = field(kw_only=True)


class FinalTransformation(Transformation):
    """Its input's final rows, each once. Resolved before the stream graph."""

    __slots__ = ()


class EveryUpdateTransformation(Transformation):
    """Its input's updates as separate rows. Resolved before the stream graph."""

    __slots__ = ()


def ancestors_first(sinks: Sequence[Transformation]) -> list[Transformation]:
    """`sinks` and everything upstream, each once, inputs before consumers, in the program's order."""
    order: dict[int, Transformation] = {}
    for sink in sinks:
        stack = [(sink, iter(sink.inputs))]
        while stack:
            transformation, inputs = stack[-1]
            following = next((i for i in inputs if i.id not in order), None)
            if following is not None:
                stack.append((following, iter(following.inputs)))
                continue
            stack.pop()
            order.setdefault(transformation.id, transformation)
    return list(order.values())
