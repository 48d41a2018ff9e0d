"""What PyFlink programs rely on besides names and signatures: results of small jobs."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shmflink.common import Row, Types
from shmflink.datastream import (
    KeyedProcessFunction,
    ReduceFunction,
    RuntimeContext,
    RuntimeExecutionMode,
    SinkFunction,
    SourceFunction,
    StreamExecutionEnvironment,
)
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.datastream.data_stream import ConnectedStreams, WindowedStream
from shmflink.datastream.state import ValueStateDescriptor
from shmflink.errors import JobExecutionError, UsageError
from shmflink.metrics import Counter, Distribution, Meter, MetricGroup
from shmflink.testing import MiniCluster

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])
PAIRS = [("a", 1), ("b", 2), ("a", 3), ("c", 4)]


@pytest.fixture
def env() -> Iterator[StreamExecutionEnvironment]:
    with MiniCluster(slots=2):
        yield StreamExecutionEnvironment.get_execution_environment()


class CountingReduce(ReduceFunction):
    """Joins texts; the count of the calls for a key is keyed state."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.calls: Any = runtime_context.get_state(ValueStateDescriptor("calls", Types.INT()))

    def reduce(self, value1: Any, value2: Any) -> Any:
        calls = (self.calls.value() or 0) + 1
        self.calls.update(calls)
        return (value1[0], value1[1] + value2[1], calls)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (RuntimeExecutionMode.STREAMING, [(0, "a", 0), (0, "ac", 1), (0, "ace", 2), (1, "b", 0), (1, "bd", 1)]),
        (RuntimeExecutionMode.BATCH, [(0, "ace", 2), (1, "bd", 1)]),
    ],
)
def test_a_reduce_function_has_keyed_state(env: StreamExecutionEnvironment, mode: Any, expected: list[Any]) -> None:
    rows = [(0, "a", 0), (1, "b", 0), (0, "c", 0), (1, "d", 0), (0, "e", 0)]
    env.set_runtime_mode(mode)
    kind = Types.TUPLE([Types.INT(), Types.STRING(), Types.INT()])
    reduced = env.from_collection(rows, kind).key_by(lambda row: row[0]).reduce(CountingReduce())
    assert sorted(reduced.execute_and_collect()) == expected


def test_a_keyed_stream_hands_out_named_pairs_in_the_order_of_its_source(env: StreamExecutionEnvironment) -> None:
    keyed = env.from_collection(PAIRS, PAIR).key_by(lambda pair: pair[0], Types.STRING())
    with keyed.execute_and_collect() as pairs:
        assert list(pairs) == [Row(f0=pair[0], f1=pair) for pair in PAIRS]
    assert env.from_collection(PAIRS, PAIR).key_by("f1").execute_and_collect(limit=1) == [Row(f0=1, f1=("a", 1))]


def test_a_keyed_stream_without_its_keys_shows_as_an_operator_of_its_own(env: StreamExecutionEnvironment) -> None:
    left, right = (env.from_collection([1, 2]).key_by(lambda number: number) for _ in range(2))
    left.union(right).print()
    nodes = json.loads(env.get_execution_plan())["nodes"]
    values = [node["id"] for node in nodes if node["type"] == "_keyed_stream_values_operator"]
    (sink,) = (node for node in nodes if node["pact"] == "Data Sink")
    assert len(values) == 2
    assert sorted(edge["id"] for edge in sink["predecessors"]) == values


class Lines(SinkFunction):
    """Writes each value with its timestamp to a file of its subtask."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, runtime_context: RuntimeContext) -> None:
        index = runtime_context.get_index_of_this_subtask()
        self.file = (self.folder / f"{index}.txt").open("w")

    def invoke(self, value: Any, context: Any) -> None:
        assert context.current_processing_time() > 0
        self.file.write(f"{value} at {context.timestamp()}\n")

    def close(self) -> None:
        self.file.close()


class Failing(SinkFunction):
    def invoke(self, value: Any, context: Any) -> None:
        raise ValueError(f"no place for {value}")


def test_a_sink_function_is_called_for_each_record(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    env.from_collection([1, 2, 3], Types.INT()).add_sink(Lines(tmp_path)).set_parallelism(1).name("lines")
    assert json.loads(env.get_execution_plan())["nodes"][-1]["type"] == "Sink: lines"
    env.execute()
    assert (tmp_path / "0.txt").read_text() == "1 at None\n2 at None\n3 at None\n"


def test_a_failing_sink_function_is_named_with_its_record(env: StreamExecutionEnvironment) -> None:
    env.from_collection([7], Types.INT()).add_sink(Failing())
    with pytest.raises(JobExecutionError, match=r"Failing failed with ValueError: no place for 7\nrecord: 7"):
        env.execute()


def test_sinks_and_sources_of_javas_are_refused_with_what_there_is_instead(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(UsageError, match=r"SinkFunction\('org.apache.X'\): there is no JVM.*define invoke"):
        SinkFunction("org.apache.X")
    with pytest.raises(UsageError, match=r"SourceFunction\('org.apache.X'\): there is no JVM.*from_source"):
        SourceFunction("org.apache.X")
    with pytest.raises(TypeError, match="add_sink\\(\\) takes a Sink or a SinkFunction, got the path"):
        env.from_collection([1]).add_sink("x")
    with pytest.raises(TypeError, match="add_source\\(\\) takes a Source, got the path 'x': write FileSource"):
        env.add_source("x")


def test_add_source_takes_a_source(env: StreamExecutionEnvironment) -> None:
    assert sorted(env.add_source(NumberSequenceSource(1, 3), "numbers").execute_and_collect()) == [1, 2, 3]


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class KeyOf(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Iterator[Any]:
        yield ctx.get_current_key(), value


def test_a_key_is_what_pyflink_takes_as_one(env: StreamExecutionEnvironment) -> None:
    keyed = env.from_collection([0, 1, 2]).key_by(lambda number: Color.RED if number % 2 else Color.BLUE)
    found = sorted(keyed.process(KeyOf()).execute_and_collect(), key=str)
    assert found == [(Color.BLUE, 0), (Color.BLUE, 2), (Color.RED, 1)]
    lists = env.from_collection([0, 1, 2]).key_by(lambda number: [number % 2]).process(KeyOf())
    assert sorted(lists.execute_and_collect()) == [([0], 0), ([0], 2), ([1], 1)]


def test_a_bad_key_is_named_with_its_record(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1, 2, {"a": 3}]).key_by(lambda value: value).print()
    with pytest.raises(
        JobExecutionError, match=r"'KeyBy': a key of type dict has no stable byte form[^\n]*\nrecord: {'a'"
    ):
        env.execute()


def test_every_operator_has_a_uid_where_none_is_made(env: StreamExecutionEnvironment) -> None:
    env.get_config().disable_auto_generated_uids()
    env.from_collection([1]).uid("numbers").key_by(lambda one: one).map(lambda one: one, Types.INT()).print().uid("out")
    with pytest.raises(UsageError, match=r"is false, but no uid is set for 'Map' \(.*\.py:\d+\): call"):
        env.execute()


def test_pyflinks_import_paths() -> None:
    group = MetricGroup(("a",))
    assert isinstance(group.counter("c"), Counter)
    assert isinstance(group.meter("m"), Meter)
    assert isinstance(group.distribution("d"), Distribution)
    assert (ConnectedStreams.__name__, WindowedStream.__name__) == ("ConnectedStreams", "WindowedStream")
