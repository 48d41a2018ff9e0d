"""The simulated jobs, tiny and of all shapes, and the output that each must have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from shmflink.core.ids import JobId
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.graph.job_graph import JobGraph
from shmflink.graph.job_graph_builder import JobEnvironment, build_job_graph
from shmflink.planner.stream_graph_builder import StreamGraphOptions, build_stream_graph
from shmflink.planner.transformations import (
    Transformation,
)
from shmflink.testing.simulation.builder import KEYS, MAX_PARALLELISM, ROWS, Builder, SimulatedJob, split
from shmflink.testing.simulation.native_jobs import NATIVE_JOBS
from shmflink.testing.simulation.operators import (
    CountOperator,
    CountProcess,
    NumberOperator,
    PassOperator,
    RestingProcessOperator,
    SimulatedGlobalSink,
    WindowOperator,
)

__all__ = ["JOBS", "SimulatedJob", "job_graph"]

_WINDOW_MS: Final = 2000


def _counts(sources: int, times: int = 1) -> Counter[Any]:
    rows = [(s, n % KEYS, n // KEYS + 1) for s in range(sources) for n in range(ROWS)]
    return Counter(dict.fromkeys(rows, times))


def _map_and_count(b: Builder, parallelism: int) -> list[Transformation]:
    """source, chained map, hash, count, rebalance, sink."""
    mapped = b.apply(PassOperator(), b.source(split(0, 3), parallelism))
    counted = b.apply(CountOperator(), b.keyed(mapped), parallelism=parallelism)
    return [b.sink(b.partition(counted, ShipStrategy.REBALANCE), parallelism)]


def _union(b: Builder, parallelism: int) -> list[Transformation]:
    """Two sources of different parallelism, one of which ends early for lack of splits."""
    streams = b.union(b.source(split(0, 1)), b.source(split(1, 2), parallelism))
    counted = b.apply(CountOperator(), b.keyed(streams), parallelism=parallelism)
    return [b.sink(counted, parallelism)]


def _two_inputs(b: Builder, parallelism: int) -> list[Transformation]:
    """An operator with two keyed inputs; one source pauses."""
    left = b.keyed(b.source(split(0, 2), parallelism))
    right = b.keyed(b.source(split(2, 1, pauses=2)))
    counted = b.apply(CountOperator(), left, right, parallelism=parallelism)
    return [b.sink(b.partition(counted, ShipStrategy.GLOBAL), 1)]


def _diamond(b: Builder, parallelism: int) -> list[Transformation]:
    """One stream on two ways to one operator: every row comes twice, in any order between the ways."""
    source = b.source(split(0, 2), parallelism)
    direct = b.keyed(source)
    detour = b.keyed(b.apply(PassOperator(), b.partition(source, ShipStrategy.REBALANCE), parallelism=parallelism))
    return [b.sink(b.apply(CountOperator(False), direct, detour, parallelism=parallelism), parallelism)]


def _diamond_expected() -> Counter[Any]:
    per_key = Counter((s, n % KEYS) for s in range(2) for n in range(ROWS))
    return Counter((s, key, n + 1) for (s, key), count in per_key.items() for n in range(2 * count))


def _windows(b: Builder, parallelism: int) -> list[Transformation]:
    """Event time windows over two sources that run at different speeds."""
    streams = b.union(b.source(split(0, 1)), b.source(split(1, 1, pauses=3)))
    return [b.sink(b.apply(WindowOperator(_WINDOW_MS), b.keyed(streams), parallelism=parallelism), parallelism)]


def _windows_expected() -> Counter[Any]:
    windows = Counter((n * 1000 - n * 1000 % _WINDOW_MS, n % KEYS) for _ in range(2) for n in range(ROWS))
    return Counter((window, key, count) for (window, key), count in windows.items())


def _process(b: Builder, parallelism: int) -> list[Transformation]:
    """Keyed state and timers of a user's function."""
    streams = b.union(b.source(split(0, 1)), b.source(split(1, 1, pauses=2)))
    operator = RestingProcessOperator(CountProcess(_WINDOW_MS))
    return [b.sink(b.apply(operator, b.keyed(streams), parallelism=parallelism), parallelism)]


def _idle(b: Builder, parallelism: int) -> list[Transformation]:
    """A source that turns idle; a broadcast edge; two sinks, the first of which may end before the other begins."""
    paused = b.source(split(0, 1, pauses=1), idle_ms=3)
    counted = b.apply(CountOperator(), b.keyed(b.union(paused, b.source(split(1, 1)))), parallelism=parallelism)
    first = b.sink(b.partition(counted, ShipStrategy.GLOBAL), 1)
    return [first, b.sink(b.partition(counted, ShipStrategy.SHUFFLE), parallelism)]


def _two_stages(b: Builder, parallelism: int) -> list[Transformation]:
    """Two shuffles in a row, windows behind counts on other parallelisms."""
    mapped = b.apply(PassOperator(), b.keyed(b.source(split(0, 2), 2)), parallelism=parallelism)
    counted = b.apply(CountOperator(), b.keyed(mapped), parallelism=max(1, parallelism - 1))
    return [b.sink(b.partition(counted, ShipStrategy.GLOBAL), 1)]


def _chain(b: Builder, parallelism: int) -> list[Transformation]:
    """Everything but the count in one task; rescaled pointwise."""
    passed = b.apply(PassOperator(), b.source(split(0, 2), 2))
    again = b.apply(PassOperator(), b.partition(passed, ShipStrategy.RESCALE), parallelism=parallelism)
    return [b.sink(b.apply(CountOperator(False), b.keyed(again), parallelism=2), 2)]


def _regions(b: Builder, parallelism: int) -> list[Transformation]:
    """Independent pipelines, each a failover region; some have nothing to read."""
    numbers = b.apply(NumberOperator(), b.source(split(0, 3), parallelism))
    return [b.sink(b.partition(numbers, ShipStrategy.RESCALE), parallelism)]


def _global_sink(b: Builder, parallelism: int) -> list[Transformation]:
    """A sink whose subtasks report to a global committer."""
    counted = b.apply(CountOperator(), b.keyed(b.source(split(0, 3), parallelism)), parallelism=parallelism)
    return [b.sink(b.partition(counted, ShipStrategy.REBALANCE), parallelism, SimulatedGlobalSink())]


def _islands(b: Builder, parallelism: int) -> list[Transformation]:
    """Two parts that are not connected: one with an exchange, one whose subtasks end at different times."""
    counted = b.apply(CountOperator(), b.keyed(b.source(split(0, 1, pauses=2))), parallelism=parallelism)
    numbers = b.apply(NumberOperator(), b.source(split(1, 2), parallelism))
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
    "global-sink": SimulatedJob(_global_sink, _counts(3), is_counted=True),
    "chain": SimulatedJob(_chain, _counts(2), is_counted=True),
    **NATIVE_JOBS,
}


@cache
def job_graph(name: str, parallelism: int, interval_ms: int) -> JobGraph:
    """The same operators at every parallelism; `interval_ms` between watermarks, 0 = with every batch."""
    sinks = JOBS[name].build(Builder(), parallelism)
    options = StreamGraphOptions(parallelism, MAX_PARALLELISM, buffer_timeout_ms=2)
    environment = JobEnvironment({"pipeline.auto-watermark-interval": f"{interval_ms} ms"})
    return build_job_graph(build_stream_graph(sinks, name, options), environment, job_id=JobId("5" * 32))
