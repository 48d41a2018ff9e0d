"""What the calls of a program record: operators, edges, chains, types, and which calls are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from oracle.recorder import Recorder

from shmflink.connectors.file_system.writing.encoders import Encoder
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.core.ship_strategy import ShipStrategy
from shmflink.core.types.typeinfo import Types
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.datastream import (
    DataStream,
    FilterFunction,
    FlatMapFunction,
    KeyedStream,
    KeySelector,
    MapFunction,
    Partitioner,
    ReduceFunction,
    SlotSharingGroup,
    StreamExecutionEnvironment,
)
from shmflink.datastream.connectors.number_seq import NumberSequenceSource
from shmflink.errors import ConfigurationError, JobGraphError, TypeMismatchError, UsageError

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])


def tasks(env: StreamExecutionEnvironment, executor: Recorder) -> list[tuple[str, int]]:
    env.execute("test")
    graph, _ = executor.submitted[-1]
    return [(vertex.name, vertex.parallelism) for vertex in graph.vertices]


def numbers(env: StreamExecutionEnvironment) -> DataStream:
    return env.from_source(NumberSequenceSource(1, 10), WatermarkStrategy.no_watermarks(), "numbers")


class Doubled(MapFunction):
    def map(self, value: Any) -> Any:
        return value * 2


class Both(FlatMapFunction):
    def flat_map(self, value: Any) -> Any:
        return [value, value]


class Even(FilterFunction):
    def filter(self, value: Any) -> bool:
        return value % 2 == 0


class Parity(KeySelector):
    def get_key(self, value: Any) -> Any:
        return value % 2


class Added(ReduceFunction):
    def reduce(self, value1: Any, value2: Any) -> Any:
        return value1 + value2


class Modulo(Partitioner):
    def partition(self, key: Any, num_partitions: int) -> int:
        return key % num_partitions


def test_a_chain_of_functions_is_one_task(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    numbers(env).map(Doubled()).flat_map(Both()).filter(Even()).print()
    assert tasks(env, executor) == [("Source: numbers -> Map -> FlatMap -> Filter -> Sink: Print to Std. Out", 4)]


def test_callables_do_as_well_as_functions(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    numbers(env).map(lambda v: v).flat_map(lambda v: [v]).filter(bool).map_batches(lambda b: b).print()
    assert len(tasks(env, executor)) == 1


def test_key_by_hashes_between_two_tasks(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    numbers(env).key_by(Parity()).reduce(Added()).print()
    assert [name for name, _ in tasks(env, executor)] == [
        "Source: numbers -> KeyBy",
        "Reduce -> Sink: Print to Std. Out",
    ]
    (edge,) = executor.submitted[-1][0].edges
    assert (edge.strategy, edge.source_operator) == (ShipStrategy.HASH, 1)


def test_key_by_follows_the_parallelism_of_its_input(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    stream = numbers(env).map(Doubled())
    keyed = stream.key_by(Parity())
    stream.set_parallelism(2)
    keyed.sum().set_parallelism(3)
    assert tasks(env, executor)[1:] == [("Map -> KeyBy", 2), ("Sum", 3)]


def test_key_by_of_a_union_extracts_keys_in_each_branch(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    numbers(env).union(numbers(env)).key_by(Parity()).max().print()
    assert [name for name, _ in tasks(env, executor)] == [
        "Source: numbers -> KeyBy",
        "Source: numbers -> KeyBy",
        "Max -> Sink: Print to Std. Out",
    ]


@pytest.mark.parametrize(
    ("method", "name"),
    [("sum", "Sum"), ("min", "Min"), ("max", "Max"), ("min_by", "MinBy"), ("max_by", "MaxBy")],
)
def test_aggregates(env: StreamExecutionEnvironment, method: str, name: str) -> None:
    stream = env.from_collection([("a", 1)], PAIR).key_by(lambda v: v[0])
    result = getattr(stream, method)(1)
    assert (result.get_name(), result.get_type()) == (name, PAIR)


@pytest.mark.parametrize(
    "strategy",
    ["shuffle", "rebalance", "rescale", "forward", "broadcast"],
)
def test_partitioning(env: StreamExecutionEnvironment, executor: Recorder, strategy: str) -> None:
    getattr(numbers(env), strategy)().map(Doubled()).start_new_chain()
    env.execute()
    (edge,) = executor.submitted[-1][0].edges
    assert edge.strategy == strategy.upper()


def test_partition_custom_ships_the_partitioner(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    numbers(env).partition_custom(Modulo(), Parity()).map(Doubled())
    assert [name for name, _ in tasks(env, executor)] == ["Source: numbers -> PartitionCustom", "Map"]
    (edge,) = executor.submitted[-1][0].edges
    assert edge.strategy is ShipStrategy.CUSTOM
    assert edge.partitioner


def test_a_partitioner_that_needs_opening_is_refused(env: StreamExecutionEnvironment) -> None:
    class Opened(Modulo):
        def open(self, runtime_context: Any) -> None: ...

    with pytest.raises(JobGraphError, match="Opened overrides open"):
        numbers(env).partition_custom(Opened(), Parity())


def test_types_follow_the_stream(env: StreamExecutionEnvironment) -> None:
    stream = env.from_collection([("a", 1)], PAIR)
    assert stream.get_type() == PAIR
    assert stream.filter(bool).get_type() == PAIR
    assert stream.rebalance().get_type() == PAIR
    assert stream.union(stream).get_type() == PAIR
    assert stream.map(Doubled(), Types.INT()).get_type() == Types.INT()
    assert stream.map(Doubled()).get_type() == Types.PICKLED_BYTE_ARRAY()
    assert stream.project(1).get_type() == Types.TUPLE([Types.INT()])
    assert stream.key_by(lambda v: v[0]).reduce(Added()).get_type() == PAIR
    assert stream.key_by(lambda v: v[0], Types.STRING()).get_type() == Types.ROW([Types.STRING(), PAIR])


def test_project_needs_tuples(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(TypeMismatchError, match=r"Only Tuple DataStreams can be projected\."):
        numbers(env).map(Doubled()).project(0)
    with pytest.raises(TypeMismatchError, match=r"project\(2,\): indexes must be from 0 to 1"):
        env.from_collection([("a", 1)], PAIR).project(2)


def test_union_needs_one_type_and_one_environment(env: StreamExecutionEnvironment) -> None:
    stream = env.from_collection([1], Types.INT())
    with pytest.raises(TypeMismatchError, match="Cannot union streams of different types"):
        stream.union(env.from_collection(["a"], Types.STRING()))
    other = type(env).get_execution_environment().from_collection([1], Types.INT())
    with pytest.raises(JobGraphError, match="different environments"):
        stream.union(other)
    with pytest.raises(TypeError, match="union"):
        stream.union([1])


@pytest.mark.parametrize("method", ["map", "flat_map", "filter", "key_by", "map_batches"])
def test_what_is_no_function_is_a_type_error(env: StreamExecutionEnvironment, method: str) -> None:
    with pytest.raises(TypeError, match=r"callable function"):
        getattr(numbers(env), method)(7)


def test_other_wrong_arguments_are_type_errors(env: StreamExecutionEnvironment) -> None:
    stream = numbers(env)
    with pytest.raises(TypeError, match="partitioner"):
        stream.partition_custom("text", Parity())
    with pytest.raises(TypeError, match="key_selector"):
        stream.partition_custom(Modulo(), "text")
    with pytest.raises(TypeError, match="ReduceFunction"):
        stream.key_by(Parity()).reduce("text")
    with pytest.raises(TypeError, match="field position must be of int or str type"):
        stream.key_by(Parity()).sum(1.5)
    with pytest.raises(
        TypeError, match=r"sink_to\(\) takes a Sink, got the path 'o': write FileSink\.parquet\('o'\), or"
    ):
        stream.sink_to("o")
    with pytest.raises(TypeError, match=r"takes a Sink or a SinkFunction, got the path 'o': write FileSink"):
        stream.add_sink(Path("o"))
    with pytest.raises(TypeError, match="takes a Sink, got the class FileSink: pass an object of it"):
        stream.sink_to(FileSink)
    with pytest.raises(TypeError, match=r"takes a Sink, got _RowFormatBuilder: call its build\(\)"):
        stream.sink_to(FileSink.for_row_format("o", Encoder.simple_string_encoder()))
    with pytest.raises(TypeError, match="takes a Sink, got None"):
        stream.sink_to(None)
    with pytest.raises(TypeError, match=r"Types\.INT\(\); got <class 'int'>"):
        stream.map(Doubled(), int)
    with pytest.raises(UsageError, match="limit must be greater than 0"):
        stream.execute_and_collect(limit=0)


KEYED_BANS: list[tuple[str, Callable[[KeyedStream], Any]]] = [
    ("Cannot override partitioning", lambda k: k.shuffle()),
    ("Cannot override partitioning", lambda k: k.rebalance()),
    ("Cannot override partitioning", lambda k: k.rescale()),
    ("Cannot override partitioning", lambda k: k.forward()),
    ("Cannot override partitioning", lambda k: k.broadcast()),
    ("Cannot override partitioning", lambda k: k.partition_custom(Modulo(), Parity())),
    ("Set parallelism", lambda k: k.set_parallelism(1)),
    ("Set name", lambda k: k.name("a")),
    ("Get name", lambda k: k.get_name()),
    ("Set uid", lambda k: k.uid("a")),
    ("Set uid hash", lambda k: k.set_uid_hash("a" * 32)),
    ("Set max parallelism", lambda k: k.set_max_parallelism(1)),
    ("Set force non-parallel", lambda k: k.force_non_parallel()),
    ("Set buffer timeout", lambda k: k.set_buffer_timeout(1)),
    ("Start new chain", lambda k: k.start_new_chain()),
    ("Disable chaining", lambda k: k.disable_chaining()),
    ("Setting slot sharing group", lambda k: k.slot_sharing_group("a")),
]


@pytest.mark.parametrize(("message", "call"), KEYED_BANS)
def test_what_a_keyed_stream_forbids(
    env: StreamExecutionEnvironment, message: str, call: Callable[[KeyedStream], Any]
) -> None:
    with pytest.raises(JobGraphError, match=message):
        call(numbers(env).key_by(Parity()))


def test_a_keyed_stream_can_be_keyed_anew_projected_united_and_printed(
    env: StreamExecutionEnvironment, executor: Recorder
) -> None:
    keyed = env.from_collection([("a", 1)], PAIR).key_by(lambda v: v[0])
    keyed.key_by(lambda v: v[1]).sum(1)
    keyed.project(0)
    keyed.union(keyed).map(Doubled())
    keyed.print()
    names = [name for name, _ in tasks(env, executor)]
    assert names[0] == "Source: Collection Source -> (KeyBy, KeyBy)"
    values = "_keyed_stream_values_operator"
    printed = f"{values} -> Sink: Print to Std. Out"
    assert sorted(names[1:]) == ["Map", "Projection", "Sum", values, values, printed]


def test_settings_reach_the_job_graph(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    stream = numbers(env).map(Doubled()).name("Double").uid("double").set_description("twice as much")
    stream.set_parallelism(2).set_max_parallelism(8).set_buffer_timeout(5).slot_sharing_group("cpu")
    stream.rebalance().print("out").name("Shown").uid("shown").set_parallelism(1).disable_chaining()
    env.execute()
    graph, _ = executor.submitted[-1]
    double, shown = graph.vertices[1], graph.vertices[2]
    assert (double.name, double.parallelism, double.max_parallelism) == ("Double", 2, 8)
    assert (double.slot_sharing_group, double.operators[0].uid) == ("cpu", "double")
    assert double.operators[0].description == "twice as much"
    assert (shown.name, shown.parallelism, shown.slot_sharing_group) == ("Sink: Shown", 1, "cpu")
    assert graph.edges[1].buffer_timeout_ms == 5


def test_minus_one_means_the_default(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    numbers(env).map(Doubled()).set_parallelism(2).set_parallelism(-1).set_buffer_timeout(3).set_buffer_timeout(-1)
    assert tasks(env, executor) == [("Source: numbers -> Map", 4)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.set_parallelism(0), "parallelism must be an integer of at least 1, got 0"),
        (lambda s: s.set_parallelism("2"), "at least 1, got '2'"),
        (lambda s: s.set_max_parallelism(0), "from 1 to 32768, got 0"),
        (lambda s: s.set_max_parallelism(32769), "from 1 to 32768, got 32769"),
        (lambda s: s.set_buffer_timeout(-2), "at least -1, got -2"),
        (lambda s: s.uid(""), "must be a non-empty string"),
        (lambda s: s.set_uid_hash("abc"), "32 hexadecimal digits, got 'abc'"),
        (lambda s: s.slot_sharing_group(""), "must be a non-empty string"),
        (lambda s: s.force_non_parallel().set_parallelism(2), "non parallel operator is 1, got 2"),
    ],
)
def test_settings_are_checked_at_once(
    env: StreamExecutionEnvironment, call: Callable[[DataStream], Any], message: str
) -> None:
    with pytest.raises(JobGraphError, match=message):
        call(numbers(env).map(Doubled()))


def test_a_collection_is_read_by_one_subtask(env: StreamExecutionEnvironment, executor: Recorder) -> None:
    stream = env.from_collection([1, 2])
    with pytest.raises(JobGraphError, match="non parallel operator is 1, got 2"):
        stream.set_parallelism(2)
    stream.map(Doubled())
    assert tasks(env, executor) == [("Source: Collection Source", 1), ("Map", 4)]


def test_settings_must_follow_an_operator(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(UsageError, match=r"name\(\) must follow an operator.*rebalance\(\)"):
        numbers(env).rebalance().name("a")


def test_slot_sharing_groups_with_resources_are_refused(env: StreamExecutionEnvironment) -> None:
    stream = numbers(env).map(Doubled())
    stream.slot_sharing_group(SlotSharingGroup.builder("io").build())
    heavy = SlotSharingGroup.builder("gpu").set_cpu_cores(2).set_task_heap_memory_mb(64).build()
    with pytest.raises(ConfigurationError, match=r"'gpu' requests CPU cores 2\.0, task heap memory 64 mb"):
        stream.slot_sharing_group(heavy)
    with pytest.raises(ConfigurationError, match="'gpu' requests CPU cores"):
        env.register_slot_sharing_group(heavy)


def test_uids_used_twice_are_found_at_execution(env: StreamExecutionEnvironment) -> None:
    numbers(env).map(Doubled()).uid("same").map(Doubled()).uid("same")
    with pytest.raises(JobGraphError, match="uid 'same' is used twice"):
        env.execute()


def test_the_plan_is_flinks(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1]).map(Doubled()).set_parallelism(2).print()
    nodes = json.loads(env.get_execution_plan())["nodes"]
    assert [(n["id"], n["type"], n["pact"], n["parallelism"]) for n in nodes] == [
        (1, "Source: Collection Source", "Data Source", 1),
        (2, "Map", "Operator", 2),
        (3, "Sink: Print to Std. Out", "Data Sink", 4),
    ]
    assert nodes[1]["predecessors"] == [{"id": 1, "ship_strategy": "REBALANCE", "side": "second"}]


def test_map_batches_says_its_columns_by_an_arrow_schema(env: StreamExecutionEnvironment) -> None:
    schema = pa.schema({"k": pa.string(), "n": pa.int64()})
    columns = numbers(env).map_batches(lambda batch: batch, output_type=schema)

    assert columns.schema == schema
    with pytest.raises(TypeMismatchError, match=r"or a pyarrow.Schema in map_batches\(function, output_type=schema\)"):
        columns.map_batches(lambda batch: batch).key_by("k")
