"""Simulated jobs with native windows and aggregates, and a naive model of their results."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from shmflink.core.ship_strategy import ShipStrategy
from shmflink.expressions import AggregateCall, Expression, col
from shmflink.operators.aggregates.group import GlobalAggregateOperator, LocalAggregateOperator
from shmflink.operators.aggregates.spec import AggregateSpec
from shmflink.operators.base import Operator
from shmflink.operators.windows.assigners import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    WindowAssigner,
)
from shmflink.operators.windows.pane_operator import GlobalWindowAggregateOperator, LocalWindowAggregateOperator
from shmflink.operators.windows.pane_spec import WindowAggregateSpec
from shmflink.planner.transformations import Transformation
from shmflink.testing.simulation.builder import KEYS, ROWS, Builder, SimulatedJob, split
from shmflink.testing.simulation.native_operators import COLUMNS, ToColumns, ToResults, bit_of

__all__ = ["NATIVE_JOBS"]

_SOURCES: Final = 2
_SIZE_MS: Final = 4000
_SLIDE_MS: Final = 2000
_GAP_MS: Final = 3500
_CALLS: Final = (
    ("n", AggregateCall("count")),
    ("bits", AggregateCall("sum", (col("bit"),))),
    ("least", AggregateCall("min", (col("ordinal"),))),
    ("most", AggregateCall("max", (col("ordinal"),))),
)

_Keeps = Callable[[int, int], bool]


def _all(_key: int, _ordinal: int) -> bool:
    return True


def _with_gap(key: int, ordinal: int) -> bool:
    """A row is missing, so that one key has two sessions."""
    return (key, ordinal) != (0, 2)


# --- jobs ---


def _in_two_steps(
    keeps: _Keeps, local: Operator, last: Operator, keys: Sequence[str], b: Builder, parallelism: int
) -> list[Transformation]:
    """Two sources of different speeds; local step, hash on the key columns, final step."""
    streams = b.union(b.source(split(0, 1)), b.source(split(1, 1, pauses=3)))
    columns = b.apply(ToColumns(keeps), streams)
    partials = b.partition(b.apply(local, columns), ShipStrategy.HASH, *keys)
    results = b.apply(ToResults(), b.apply(last, partials, parallelism=parallelism), parallelism=parallelism)
    return [b.sink(results, parallelism)]


def _windows(assigner: WindowAssigner, keeps: _Keeps) -> Callable[[Builder, int], Sequence[Transformation]]:
    times = assigner.fixed_times()
    assert times is not None, f"{assigner} has no fixed times"
    spec = WindowAggregateSpec(AggregateSpec(COLUMNS, _keys("key"), _CALLS), times, ("name", "end"))
    return partial(
        _in_two_steps, keeps, LocalWindowAggregateOperator(spec), GlobalWindowAggregateOperator(spec), ("key",)
    )


def _aggregates(*, is_final: bool) -> Callable[[Builder, int], Sequence[Transformation]]:
    keys: tuple[tuple[str, Expression], ...] = (("name", col("source")), ("key", col("key")))
    spec = AggregateSpec(COLUMNS, keys, _CALLS)
    last = GlobalAggregateOperator(spec, is_final=is_final)
    return partial(_in_two_steps, _all, LocalAggregateOperator(spec), last, ("name", "key"))


def _keys(*names: str) -> tuple[tuple[str, Expression], ...]:
    return tuple((name, col(name)) for name in names)


# --- the model ---


def _rows(keeps: _Keeps) -> Iterator[tuple[int, int, int, int]]:
    """(source, key, ordinal, timestamp) of all sources."""
    for source in range(_SOURCES):
        for n in range(ROWS):
            key, ordinal = n % KEYS, n // KEYS + 1
            if keeps(key, ordinal):
                yield source, key, ordinal, n * 1000


def _fixed(size_ms: int, slide_ms: int) -> Counter[Any]:
    """(start, key, bits) of every window."""
    bits: dict[tuple[int, int], int] = defaultdict(int)
    for source, key, ordinal, at_ms in _rows(_all):
        last = at_ms - at_ms % slide_ms
        for start in range(last, at_ms - size_ms, -slide_ms):
            bits[start, key] |= bit_of(source, ordinal)
    return Counter((*place, one) for place, one in bits.items())


def _sessions() -> Counter[Any]:
    found: Counter[Any] = Counter()
    for key in range(KEYS):
        mine = sorted((row for row in _rows(_with_gap) if row[1] == key), key=lambda row: row[3])
        for session in _split_at_gaps(mine):
            found[session[0][3], key, sum(bit_of(row[0], row[2]) for row in session)] += 1
    return found


def _split_at_gaps(rows: Iterable[tuple[int, int, int, int]]) -> list[list[tuple[int, int, int, int]]]:
    sessions: list[list[tuple[int, int, int, int]]] = []
    for row in rows:
        if sessions and row[3] < sessions[-1][-1][3] + _GAP_MS:
            sessions[-1].append(row)
        else:
            sessions.append([row])
    return sessions


def _sums() -> list[tuple[int, int, int]]:
    """(source, key, bits) after each row."""
    bits: dict[tuple[int, int], int] = defaultdict(int)
    found = []
    for source, key, ordinal, _ in _rows(_all):
        bits[source, key] |= bit_of(source, ordinal)
        found.append((source, key, bits[source, key]))
    return found


def _last_sums() -> Counter[Any]:
    last = {(source, key): bits for source, key, bits in _sums()}
    return Counter((*place, bits) for place, bits in last.items())


NATIVE_JOBS: Final[Mapping[str, SimulatedJob]] = {
    "native-tumbling": SimulatedJob(
        _windows(TumblingEventTimeWindows(_SIZE_MS, 0), _all), _fixed(_SIZE_MS, _SIZE_MS), has_windows=True
    ),
    "native-sliding": SimulatedJob(
        _windows(SlidingEventTimeWindows(_SIZE_MS, _SLIDE_MS, 0), _all), _fixed(_SIZE_MS, _SLIDE_MS), has_windows=True
    ),
    "native-sessions": SimulatedJob(
        _windows(EventTimeSessionWindows(_GAP_MS), _with_gap), _sessions(), has_windows=True
    ),
    "native-aggregate": SimulatedJob(_aggregates(is_final=True), _last_sums(), has_windows=True),
    "native-updates": SimulatedJob(
        _aggregates(is_final=False), _last_sums(), has_windows=True, updates=frozenset(_sums())
    ),
}
