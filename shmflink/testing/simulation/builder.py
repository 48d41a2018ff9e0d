"""Records the transformations of simulated jobs, without planner and API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from shmflink.connectors.base import Sink
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.time_units import Duration
from shmflink.core.types.typeinfo import Types
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.operators.base import Operator
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.planner.transformations import (
    OperatorTransformation,
    PartitionTransformation,
    SinkTransformation,
    SourceTransformation,
    Transformation,
    UnionTransformation,
)
from shmflink.testing.simulation.operators import SimulatedSink, SimulatedSource

__all__ = ["KEYS", "MAX_PARALLELISM", "ROWS", "Builder", "SimulatedJob", "split"]

MAX_PARALLELISM: Final = 8
ROWS: Final = 7
"""Of each source."""
KEYS: Final = 3


@dataclass(frozen=True, slots=True)
class SimulatedJob:
    """`build(parallelism)` gives the sinks; `expected`: what is visible in the end.

    `is_counted`: each row is (source, key, n), and comes once. `has_windows`: it is (window, key, size), which may be
    larger where the source may be read twice. `updates`, if any: each row is one of these and comes at
    most once; `expected` are the last ones.
    """

    build: Callable[[Builder, int], Sequence[Transformation]]
    expected: Counter[Any]
    is_counted: bool = False
    has_windows: bool = False
    updates: frozenset[Any] = frozenset()


class Builder:
    """Records transformations; uids keep their state over changes of the parallelism.

    Chains are the same at every parallelism: elements in flight are restored only on an edge that still exists.
    """

    def __init__(self) -> None:
        self._count = 0

    def _common(self, name: str, inputs: Sequence[Transformation], parallelism: int | None) -> dict[str, Any]:
        self._count += 1
        return {
            "id": self._count,
            "name": name,
            "inputs": tuple(inputs),
            "parallelism": parallelism,
            "uid": f"{name}-{self._count}",
            "max_parallelism": MAX_PARALLELISM,
        }

    def source(self, source: SimulatedSource, parallelism: int = 1, *, idle_ms: int = 0) -> Transformation:
        strategy = WatermarkStrategy.for_monotonous_timestamps()
        if idle_ms:
            strategy = strategy.with_idleness(Duration.of_millis(idle_ms))
        common = self._common("source", (), parallelism)
        return SourceTransformation(**common, source=source, watermark_strategy=strategy)

    def apply(self, operator: Operator, *inputs: Transformation, parallelism: int | None = None) -> Transformation:
        common = self._common(type(operator).__name__, inputs, parallelism)
        return OperatorTransformation(**common, operator=operator)

    def partition(self, before: Transformation, strategy: ShipStrategy, *key_columns: str) -> Transformation:
        common = self._common("partition", (before,), None) | {"uid": None}
        return PartitionTransformation(**common, strategy=strategy, key_columns=key_columns)

    def keyed(self, before: Transformation, field: int = 1) -> Transformation:
        extractor = self.apply(KeyExtractor(lambda row: row[field], Types.LONG()), before)
        return self.partition(extractor, ShipStrategy.HASH)

    def union(self, *streams: Transformation) -> Transformation:
        return UnionTransformation(**self._common("union", streams, None) | {"uid": None})

    def sink(self, before: Transformation, parallelism: int, sink: Sink | None = None) -> Transformation:
        return SinkTransformation(**self._common("sink", (before,), parallelism), sink=sink or SimulatedSink())


def split(first: int, sources: int, pauses: int = 0) -> SimulatedSource:
    """Sources `first` to `first + sources` - 1."""
    return SimulatedSource(first, sources, ROWS, KEYS, pauses)
