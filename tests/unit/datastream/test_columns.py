"""Column methods in a program: names, types and messages; nothing is executed."""

from __future__ import annotations

import inspect
from typing import Any

import pyarrow as pa
import pytest
from oracle.recorder import Recorder

from shmflink.common import Types
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.datastream import DataStream, KeyedStream, OutputTag, StreamExecutionEnvironment
from shmflink.datastream.column_stream import ColumnStream
from shmflink.errors import JobGraphError, TypeMismatchError
from shmflink.expressions import col, count, lit
from shmflink.planner.lowering import lower
from shmflink.planner.transformations import PartitionTransformation

TABLE = pa.table({"user": ["a", "b"], "price": [1.5, 2.5], "tags": pa.array([["x"], []], pa.list_(pa.utf8()))})


@pytest.fixture
def table(env: StreamExecutionEnvironment) -> DataStream:
    return env.from_arrow(TABLE)


def types(stream: Any) -> dict[str, str]:
    return {field.name: str(field.type) for field in stream.schema}


def test_the_columns_of_each_method(table: DataStream) -> None:
    assert types(table) == {"user": "string", "price": "double", "tags": "list<item: string>"}
    assert types(table.select("user", col("price").alias("p"), col("price") + 1, big=col("price") > 2)) == {
        "user": "string",
        "p": "double",
        "_c2": "double",
        "big": "bool",
    }
    assert list(types(table.with_columns(col("price").alias("q"), user=lit(1)))) == ["user", "price", "tags", "q"]
    assert types(table.with_columns(user=lit(1, pa.int8())))["user"] == "int8"
    assert list(types(table.drop("user", "tags"))) == ["price"]
    assert list(types(table.rename({"user": "u"}, price="p"))) == ["u", "p", "tags"]
    assert types(table.filter(col("price") > 1)) == types(table)
    assert types(table.explode("tags"))["tags"] == "string"
    assert list(types(table.explode(col("tags").alias("tag")))) == ["user", "price", "tags", "tag"]
    assert types(table.aggregate(n=count())) == {"n": "int64"}
    assert list(types(table.distinct("user"))) == ["user"]
    assert list(types(table.key_by("user", "price").aggregate(count().alias("n"), top=col("price").max))) == [
        "user",
        "price",
        "n",
        "top",
    ]


def test_a_condition_in_words_or_an_expression_for_a_function_tells_the_remedy(table: DataStream) -> None:
    with pytest.raises(TypeError, match=r"got 'price > 3': filter\(\) also accepts an expression"):
        table.filter("price > 3")
    with pytest.raises(TypeError, match=r"`\(price \* 2\)` is an expression: filter\(\), select\(\)"):
        table.map(col("price") * 2)


def test_streams_of_declared_rows_have_columns_too(env: StreamExecutionEnvironment) -> None:
    rows = env.from_collection([(1, "a")], Types.ROW_NAMED(["n", "s"], [Types.INT(), Types.STRING()]))
    assert types(rows) == {"n": "int32", "s": "string"}
    assert types(env.from_collection([1], Types.LONG())) == {"value": "int64"}
    assert rows.filter(col("n") > 1).get_type() == rows.get_type()
    assert rows.select("n").get_type() == ColumnsTypeInfo(pa.schema([("n", pa.int32())]))


def test_print_schema(table: DataStream, capsys: pytest.CaptureFixture[str]) -> None:
    table.drop("tags").print_schema()
    assert capsys.readouterr().out == "user: string\nprice: double\n"


def test_an_unknown_column_names_the_line_the_nearest_one_and_the_schema(table: DataStream) -> None:
    with pytest.raises(TypeMismatchError) as caught:
        table.select("usr")
    line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
    assert f"test_columns.py:{line}" in str(caught.value)
    assert "did you mean `user`?" in str(caught.value)
    assert "user: string, price: double" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.select(), "at least one column"),
        (lambda s: s.select(7), "takes expressions, got 7"),
        (lambda s: s.select(x="user"), r"write a constant as lit\(...\)"),
        (lambda s: s.select("user", "user"), "`user` appears twice"),
        (lambda s: s.select(col("price").sum), "aggregates many rows"),
        (lambda s: s.with_columns(col("price") + 1), "needs a name"),
        (lambda s: s.filter(col("price")), "takes a condition"),
        (lambda s: s.drop("usr"), "there is no column `usr`"),
        (lambda s: s.drop(*s.schema.names), "no column would be left"),
        (lambda s: s.rename(usr="u"), "there is no column `usr`"),
        (lambda s: s.rename(user="price"), "must be unique"),
        (lambda s: s.explode("user"), "takes an array"),
        (lambda s: s.key_by("usr"), "there is no column `usr`"),
        (lambda s: s.key_by("user").aggregate(col("price")), "is not an aggregate"),
        (lambda s: s.key_by("user").aggregate(user=count()), "`user` is a key"),
        (lambda s: s.key_by("user").aggregate(x=col("user").avg), "avg takes numbers"),
        (lambda s: s.key_by(lambda row: row.user).aggregate(n=count()), "keys that are columns"),
        (lambda s: s.map(lambda row: row).select("user"), r"no type was declared.*output_type="),
        (lambda s: s.as_columns(Types.PICKLED_BYTE_ARRAY()), "has no columns"),
    ],
)
def test_what_is_wrong_is_said_when_the_program_is_built(table: DataStream, call: Any, message: str) -> None:
    with pytest.raises(TypeMismatchError, match=message):
        call(table)


def test_a_function_in_between_needs_a_declared_type(table: DataStream) -> None:
    unknown = table.map(lambda row: row)
    assert types(unknown.as_columns(pa.schema([("a", pa.int8())]))) == {"a": "int8"}
    assert types(table.map(lambda row: row, output_type=table.get_type())) == types(table)


def test_the_plan_shows_what_was_written(
    table: DataStream, env: StreamExecutionEnvironment, executor: Recorder
) -> None:
    table.filter(col("price") > 1).select("user", twice=col("price") * 2).key_by("user").aggregate(n=count()).print()
    env.execute()
    graph, _ = executor.submitted[0]
    assert graph.vertices[0].name == "Source: Arrow table -> Filter -> Select -> LocalAggregate"
    operators = graph.vertices[0].operators
    assert [operator.name for operator in operators] == ["Source: Arrow table", "Filter -> Select", "LocalAggregate"]
    assert operators[1].description.startswith("Filter(")
    assert operators[1].description.endswith("Select(user, price * 2 AS twice)")
    assert operators[0].description == "Arrow table, columns=[user, price]"
    (edge,) = [edge for edge in graph.edges if edge.strategy == "HASH"]
    assert edge.key_columns == ("user",)


def test_keys_of_an_aggregate_travel_as_columns(table: DataStream) -> None:
    [aggregated] = lower(table.key_by(col("price").alias("p"), "user").aggregate(n=count()).recorded.plan())
    partitioned = aggregated.inputs[0]
    assert isinstance(partitioned, PartitionTransformation)
    assert partitioned.key_columns == ("p", "user")
    assert table.aggregate(n=count()).node.settings.parallelism == 1


def test_a_keyed_stream_forbids_what_it_always_did(table: DataStream) -> None:
    keyed = table.key_by("user")
    with pytest.raises(JobGraphError, match="side output"):
        keyed.get_side_output(OutputTag("x"))
    assert keyed.key_by("price") is not keyed


def test_the_examples_of_docstrings_run(table: DataStream) -> None:
    flights = table.select(origin=col("user"), destination=col("user"))
    names = {"ds": table.with_columns(line=col("user")), "flights": flights, "col": col, "count": count, "pa": pa}
    found = 0
    for kind in (ColumnStream, KeyedStream):
        for method in vars(kind).values():
            for line in (getattr(method, "__doc__", None) or "").splitlines():
                if line.strip().startswith(">>> "):
                    exec(line.strip().removeprefix(">>> "), names)  # the examples are ours
                    found += 1
    assert found >= 3
