"""Whole jobs in one process and thread: the public API and hand-built graphs on the mini-cluster."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Row, Types
from shmflink.connectors.base import Poll, Sink, SinkWriter, Source, SourceReader, Split, SplitEnumerator
from shmflink.core.batch import Batch
from shmflink.core.ids import JobId, SubtaskId
from shmflink.core.serialization.codec import dumps_function
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.datastream import DataStream, RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.errors import InsufficientSlotsError, JobExecutionError, UserFunctionError
from shmflink.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex, NodeKind
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.map import MapOperator
from shmflink.taskmanager.listener import TaskState
from shmflink.testing import Channels, MiniCluster

_WORDS = ["to", "be", "or", "not", "to", "be", "that", "is", "the", "question"]
_COLLECTED: list[tuple[int, Any]] = []


class _Into(Sink):
    """Appends (subtask, row) to a list of this module: the job runs in this process."""

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _IntoWriter(context.subtask_index)


class _IntoWriter(SinkWriter):
    def __init__(self, subtask: int) -> None:
        self._subtask = subtask

    def write(self, batch: Batch) -> None:
        _COLLECTED.extend((self._subtask, row) for row in batch.rows())


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    _COLLECTED.clear()


@pytest.fixture(params=list(Channels))
def env(request: pytest.FixtureRequest) -> Iterator[StreamExecutionEnvironment]:
    with MiniCluster(slots=3, channels=request.param):
        yield StreamExecutionEnvironment.get_execution_environment()


def _run(stream: DataStream) -> list[Any]:
    stream.sink_to(_Into())
    stream.get_execution_environment().execute("test")
    return [row for _, row in _COLLECTED]


def test_word_count_streams_every_update(env: StreamExecutionEnvironment) -> None:
    counts = (
        env.from_collection([" ".join(_WORDS)])
        .flat_map(lambda line: line.split())
        .map(lambda word: (word, 1))
        .key_by(lambda pair: pair[0])
        .reduce(lambda a, b: (a[0], a[1] + b[1]))
    )
    rows = _run(counts)
    assert len(rows) == len(_WORDS)
    assert {word: count for word, count in rows} == Counter(_WORDS)  # noqa: C416 - the last update wins


def test_batch_mode_gives_one_result_per_key(env: StreamExecutionEnvironment) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.BATCH)
    pairs = env.from_collection(_WORDS, Types.STRING()).map(lambda word: (word, 1)).key_by(lambda pair: pair[0])
    assert sorted(_run(pairs.sum(1))) == sorted(Counter(_WORDS).items())


def test_a_key_is_in_one_subtask(env: StreamExecutionEnvironment) -> None:
    keyed = env.from_collection(list(range(1000))).rebalance().map(lambda x: (x % 50, x)).key_by(lambda x: x[0])
    _run(keyed.sum(1))
    owners: dict[int, set[int]] = {}
    for subtask, (key, _) in _COLLECTED:
        owners.setdefault(key, set()).add(subtask)
    assert len(owners) == 50
    assert all(len(subtasks) == 1 for subtasks in owners.values())
    assert {subtask for subtasks in owners.values() for subtask in subtasks} == {0, 1, 2}


@pytest.mark.parametrize("partition", ["rebalance", "rescale", "shuffle", "broadcast"])
def test_partitioners(env: StreamExecutionEnvironment, partition: str) -> None:
    stream = env.from_collection(list(range(300)))
    rows = _run(getattr(stream, partition)().map(lambda x: x))
    copies = 3 if partition == "broadcast" else 1
    assert sorted(rows) == sorted(list(range(300)) * copies)
    assert {subtask for subtask, _ in _COLLECTED} == {0, 1, 2}


def test_custom_partitioning(env: StreamExecutionEnvironment) -> None:
    stream = env.from_collection(list(range(30))).partition_custom(lambda key, n: key % n, lambda x: x)
    _run(stream.map(lambda x: x))
    assert all(row % 3 == subtask for subtask, row in _COLLECTED)


def test_union_filter_and_map_batches(env: StreamExecutionEnvironment) -> None:
    kind = Types.ROW_NAMED(["x"], [Types.LONG()])
    low = env.from_collection([Row(x=value) for value in range(5)], kind)
    high = env.from_collection([Row(x=value) for value in range(100, 105)], kind)

    def double(batch: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([pa.compute.multiply(batch["x"], 2)], ["x"])

    rows = _run(low.union(high).map_batches(double, kind).filter(lambda row: row.x % 100 != 0))
    assert sorted(row.x for row in rows) == [2, 4, 6, 8, 202, 204, 206, 208]


def test_execute_and_collect_hands_out_rows_while_the_job_runs(env: StreamExecutionEnvironment) -> None:
    stream = env.from_collection(list(range(50_000)), Types.LONG()).map(lambda x: x + 1, Types.LONG())
    with stream.execute_and_collect() as rows:
        assert sum(rows) == sum(range(1, 50_001))
    endless = env.from_collection([0]).flat_map(lambda _: itertools.count())
    assert endless.execute_and_collect(limit=3) == [0, 1, 2]


def test_a_failing_function_ends_the_job_with_its_cause(env: StreamExecutionEnvironment) -> None:
    def parse(text: str) -> int:
        return int(text)

    env.from_collection(["1", "x"]).rebalance().map(parse).name("Parse").sink_to(_Into())
    with pytest.raises(JobExecutionError) as caught:
        env.execute("broken")
    cause = caught.value.__cause__
    assert isinstance(cause, UserFunctionError)
    assert cause.operator == "Parse"
    assert cause.record == "'x'"
    assert "in parse" in caught.value.cause_text
    assert "invalid literal" in str(caught.value)


def test_functions_run_in_the_calling_thread(env: StreamExecutionEnvironment) -> None:
    threads = _run(env.from_collection([1, 2, 3]).rebalance().map(lambda _: threading.current_thread().name))
    assert set(threads) == {threading.current_thread().name}


def test_too_few_slots_are_refused_before_anything_runs(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1]).rebalance().map(lambda x: x).set_parallelism(4).sink_to(_Into())
    with pytest.raises(InsufficientSlotsError, match="needs 4 slots"):
        env.execute("wide")


# --- hand-built graphs ---


class _Endless(Source):
    """An unbounded source; its enumerator has a split for nobody at first."""

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        return _LateEnumerator()

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return _CountingReader()


class _LateEnumerator(SplitEnumerator):
    def __init__(self) -> None:
        self._asked = 0

    def next_split(self, subtask: int) -> Split | None:
        self._asked += 1
        return Split("late", None) if self._asked == 3 else None

    @property
    def is_exhausted(self) -> bool:
        return False

    def add_splits_back(self, splits: Sequence[Split]) -> None:
        raise AssertionError("no reader fails here")

    def snapshot(self) -> int:
        return self._asked


class _CountingReader(SourceReader):
    def __init__(self) -> None:
        self._numbers: Iterator[int] | None = None

    def add_split(self, split: Split) -> None:
        self._numbers = itertools.count()

    def no_more_splits(self) -> None:
        raise AssertionError("the enumerator is never exhausted")

    def poll(self) -> Batch | Poll:
        if self._numbers is None:
            return Poll.NEED_SPLIT
        return Batch.of_rows(list(itertools.islice(self._numbers, 10)))


def _operator(kind: NodeKind, payload: Any, *children: int) -> ChainedOperator:
    name = type(payload).__name__
    return ChainedOperator("0" * 32, name, name, None, kind, dumps_function(payload, name), children)


def _graph(source: ChainedOperator, *tail: ChainedOperator) -> JobGraph:
    vertices = (
        JobVertex(0, "Source", 1, 128, "default", None, (source,)),
        JobVertex(1, "Tail", 2, 128, "default", None, tail),
    )
    return JobGraph(JobId.random(), "by hand", False, vertices, (JobEdge(0, 0, 0, 1, 0, ShipStrategy.REBALANCE),))


def test_an_endless_job_waits_for_its_split_and_ends_when_a_function_fails() -> None:
    class StopError(Exception):
        pass

    def stop_at(number: int) -> int:
        if number == 95:
            raise StopError
        return number

    graph = _graph(
        _operator(NodeKind.SOURCE, _Endless()),
        _operator(NodeKind.OPERATOR, MapOperator(stop_at), 1),
        _operator(NodeKind.SINK, _Into()),
    )
    with pytest.raises(JobExecutionError):
        MiniCluster(slots=2).run(graph)
    # Two batches in flight per channel: no queue grew while the job ran.
    assert len(_COLLECTED) < 200
    assert 0 in [row for _, row in _COLLECTED]


def test_a_finished_job_can_be_inspected() -> None:
    from shmflink.connectors.collection import CollectionSource

    graph = _graph(
        _operator(NodeKind.SOURCE, CollectionSource(list(range(10)))),
        _operator(NodeKind.OPERATOR, MapOperator(lambda x: x), 1),
        _operator(NodeKind.SINK, _Into()),
    )
    job = MiniCluster(slots=2).run(graph)
    assert set(job.states().values()) == {TaskState.FINISHED}
    assert set(job.states()) == {SubtaskId(0, 0), SubtaskId(1, 0), SubtaskId(1, 1)}
    assert job.counters(0).records_out == 10
    assert job.counters(0).records_in == 0
    assert job.counters(1, 0).records_in + job.counters(1, 1).records_in == 10
