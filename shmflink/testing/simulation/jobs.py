"""The jobs that are simulated: tiny, of all shapes; and what each must write in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.time_units import Duration
from shmflink.core.types.typeinfo import Types
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.job_graph_builder import JobEnvironment, build_job_graph
from shmflink.operators.base import Operator
from shmflink.operators.key_extractor import KeyExtractor
from shmflink.planner.stream_graph_builder import StreamGraphOptions, build_stream_graph
from shmflink.planner.transformations import (
    OperatorTransformation,
    PartitionTransformation,
    SinkTransformation,
    SourceTransformation,
    Transformation,
    UnionTransformation,
)
from shmflink.testing.simulation.operators import (
    CountOperator,
    CountProcess,
    NumberOperator,
    PassOperator,
    RestingProcessOperator,
    SimulatedSink,
    SimulatedSource,
    WindowOperator,
)

__all__ = ["JOBS", "SimulatedJob", "job_graph"]

_MAX_PARALLELISM: Final = 8
_ROWS: Final = 7
_KEYS: Final = 3
_WINDOW_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class SimulatedJob:
    """`build(parallelism)` gives the sinks; `expected`: what is visible in the end.

    `is_counted`: each row is (source, key, n), and comes once. `has_windows`: it is (window, key, rows in it), which
    may be more of them where the source may be read twice.
    """

    build: Callable[[_Builder, int], Sequence[Transformation]]
    expected: Counter[Any]
    is_counted: bool = False
    has_windows: bool = False


class _Builder:
    """Records transformations; uids keep their state over changes of the parallelism.

    Chains are the same at every parallelism: what is under way on an edge has no place where the edge is gone.
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
            "max_parallelism": _MAX_PARALLELISM,
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

    def partition(self, before: Transformation, strategy: ShipStrategy) -> Transformation:
        common = self._common("partition", (before,), None) | {"uid": None}
        return PartitionTransformation(**common, strategy=strategy)

    def keyed(self, before: Transformation, field: int = 1) -> Transformation:
        extractor = self.apply(KeyExtractor(lambda row: row[field], Types.LONG()), before)
        return self.partition(extractor, ShipStrategy.HASH)

    def union(self, *streams: Transformation) -> Transformation:
        return UnionTransformation(**self._common("union", streams, None) | {"uid": None})

    def sink(self, before: Transformation, parallelism: int) -> Transformation:
        return SinkTransformation(**self._common("sink", (before,), parallelism), sink=SimulatedSink())


def _counts(sources: int, times: int = 1) -> Counter[Any]:
    rows = [(s, n % _KEYS, n // _KEYS + 1) for s in range(sources) for n in range(_ROWS)]
    return Counter(dict.fromkeys(rows, times))


def _source(first: int, sources: int, pauses: int = 0) -> SimulatedSource:
    return SimulatedSource(first, sources, _ROWS, _KEYS, pauses)


def _map_and_count(b: _Builder, parallelism: int) -> list[Transformation]:
    """source, chained map, hash, count, rebalance, sink."""
    mapped = b.apply(PassOperator(), b.source(_source(0, 3), parallelism))
    counted = b.apply(CountOperator(), b.keyed(mapped), parallelism=parallelism)
    return [b.sink(b.partition(counted, ShipStrategy.REBALANCE), parallelism)]


def _union(b: _Builder, parallelism: int) -> list[Transformation]:
    """Two sources of different parallelism, one of which ends early for lack of splits."""
    streams = b.union(b.source(_source(0, 1)), b.source(_source(1, 2), parallelism))
    counted = b.apply(CountOperator(), b.keyed(streams), parallelism=parallelism)
    return [b.sink(counted, parallelism)]


def _two_inputs(b: _Builder, parallelism: int) -> list[Transformation]:
    """An operator with two keyed inputs; one source pauses."""
    left = b.keyed(b.source(_source(0, 2), parallelism))
    right = b.keyed(b.source(_source(2, 1, pauses=2)))
    counted = b.apply(CountOperator(), left, right, parallelism=parallelism)
    return [b.sink(b.partition(counted, ShipStrategy.GLOBAL), 1)]


def _diamond(b: _Builder, parallelism: int) -> list[Transformation]:
    """One stream on two ways to one operator: every row comes twice, in any order between the ways."""
    source = b.source(_source(0, 2), parallelism)
    direct = b.keyed(source)
    detour = b.keyed(b.apply(PassOperator(), b.partition(source, ShipStrategy.REBALANCE), parallelism=parallelism))
    return [b.sink(b.apply(CountOperator(False), direct, detour, parallelism=parallelism), parallelism)]


def _diamond_expected() -> Counter[Any]:
    per_key = Counter((s, n % _KEYS) for s in range(2) for n in range(_ROWS))
    return Counter((s, key, n + 1) for (s, key), count in per_key.items() for n in range(2 * count))


def _windows(b: _Builder, parallelism: int) -> list[Transformation]:
    """Event time windows over two sources that run at different speeds."""
    streams = b.union(b.source(_source(0, 1)), b.source(_source(1, 1, pauses=3)))
    return [b.sink(b.apply(WindowOperator(_WINDOW_MS), b.keyed(streams), parallelism=parallelism), parallelism)]


def _windows_expected() -> Counter[Any]:
    windows = Counter((n * 1000 - n * 1000 % _WINDOW_MS, n % _KEYS) for _ in range(2) for n in range(_ROWS))
    return Counter((window, key, count) for (window, key), count in windows.items())


def _process(b: _Builder, parallelism: int) -> list[Transformation]:
    """Keyed state and timers of a user's function."""
    streams = b.union(b.source(_source(0, 1)), b.source(_source(1, 1, pauses=2)))
    operator = RestingProcessOperator(CountProcess(_WINDOW_MS))
    return [b.sink(b.apply(operator, b.keyed(streams), parallelism=parallelism), parallelism)]


def _idle(b: _Builder, parallelism: int) -> list[Transformation]:
    """A source that turns idle; a broadcast edge; two sinks, the first of which may end before the other begins."""
    paused = b.source(_source(0, 1, pauses=1), idle_ms=3)
    counted = b.apply(CountOperator(), b.keyed(b.union(paused, b.source(_source(1, 1)))), parallelism=parallelism)
    first = b.sink(b.partition(counted, ShipStrategy.GLOBAL), 1)
    return [first, b.sink(b.partition(counted, ShipStrategy.SHUFFLE), parallelism)]


def _two_stages(b: _Builder, parallelism: int) -> list[Transformation]:
    """Two shuffles in a row, windows behind counts on other parallelisms."""
    mapped = b.apply(PassOperator(), b.keyed(b.source(_source(0, 2), 2)), parallelism=parallelism)
    counted = b.apply(CountOperator(), b.keyed(mapped), parallelism=max(1, parallelism - 1))
    return [b.sink(b.partition(counted, ShipStrategy.GLOBAL), 1)]


def _chain(b: _Builder, parallelism: int) -> list[Transformation]:
    """Everything but the count in one task; rescaled pointwise."""
    passed = b.apply(PassOperator(), b.source(_source(0, 2), 2))
    again = b.apply(PassOperator(), b.partition(passed, ShipStrategy.RESCALE), parallelism=parallelism)
    return [b.sink(b.apply(CountOperator(False), b.keyed(again), parallelism=2), 2)]


def _regions(b: _Builder, parallelism: int) -> list[Transformation]:
    """Pipelines side by side, which fail over alone; some have nothing to read."""
    numbers = b.apply(NumberOperator(), b.source(_source(0, 3), parallelism))
    return [b.sink(b.partition(numbers, ShipStrategy.RESCALE), parallelism)]


def _islands(b: _Builder, parallelism: int) -> list[Transformation]:
    """A job of two parts that are not connected: one with an exchange, one that ends at other times."""
    counted = b.apply(CountOperator(), b.keyed(b.source(_source(0, 1, pauses=2))), parallelism=parallelism)
    numbers = b.apply(NumberOperator(), b.source(_source(1, 2), parallelism))
    return [b.sink(counted, parallelism), b.sink(numbers, parallelism)]


JOBS: Final[Mapping[str, SimulatedJob]] = {
    "count": SimulatedJob(_map_and_count, _counts(3), is_counted=True),
    "union": SimulatedJob(_union, _counts(3), is_counted=True),
    "two-inputs": SimulatedJob(_two_inputs, _counts(3), is_counted=True),
    "diamond": SimulatedJob(_diamond, _diamond_expected()),
    "windows": SimulatedJob(_windows, _windows_expected(), has_windows=True),
    "process": SimulatedJob(_process, _windows_expected(), has_windows=True),
    "idle": SimulatedJob(_idle, _counts(2, times=2)),
    "two-stages": SimulatedJob(_two_stages, _counts(2), is_counted=True),
    "regions": SimulatedJob(_regions, _counts(3), is_counted=True),
    "islands": SimulatedJob(_islands, _counts(3), is_counted=True),
    "chain": SimulatedJob(_chain, _counts(2), is_counted=True),
}


@cache
def job_graph(name: str, parallelism: int, interval_ms: int) -> JobGraph:
    """The same operators at every parallelism; `interval_ms` between watermarks, 0 = with every batch."""
    sinks = JOBS[name].build(_Builder(), parallelism)
    options = StreamGraphOptions(parallelism, _MAX_PARALLELISM, buffer_timeout_ms=2)
    environment = JobEnvironment({"pipeline.auto-watermark-interval": f"{interval_ms} ms"})
    return build_job_graph(build_stream_graph(sinks, name, options), environment, job_id=JobId("5" * 32))
