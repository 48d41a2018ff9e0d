"""A program is recorded in immutable nodes; `Recorded` refers to the newest."""

from __future__ import annotations

import gc
import weakref

import pyarrow as pa
import pytest

from shmflink.common import Types
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import TypeMismatchError
from shmflink.expressions import col
from shmflink.plan.calls import Map


def test_a_node_has_the_call_its_schemas_and_the_line(env: StreamExecutionEnvironment) -> None:
    node = env.from_collection([1], Types.INT()).map(str, Types.STRING()).node
    assert isinstance(node.call, Map)
    assert (node.input_types, node.output_type) == ((Types.INT(),), Types.STRING())
    assert "test_recorder.py:" in node.place


def test_a_name_replaces_the_node_and_leaves_the_old_one(env: StreamExecutionEnvironment) -> None:
    stream = env.from_collection([1]).map(str)
    before = stream.node
    behind = stream.map(str)
    stream.name("texts").uid("texts").set_parallelism(2)
    assert (before.name, before.settings.uid) == ("Map", None)
    assert (stream.node.name, stream.node.settings.uid, stream.node.settings.parallelism) == ("texts", "texts", 2)
    assert [node.name for node in behind.recorded.plan()] == ["Collection Source", "texts", "Map"]


def test_a_refused_call_takes_no_number(env: StreamExecutionEnvironment) -> None:
    stream = env.from_arrow(pa.table({"a": [1]}))
    with pytest.raises(TypeMismatchError):
        stream.select("b")
    assert stream.select(b=col("a")).node.id == stream.node.id + 1


def test_streams_that_are_gone_free_what_they_read(env: StreamExecutionEnvironment) -> None:
    table = env.from_arrow(pa.table({"a": [1]}))
    source = weakref.ref(table.node.call.source)
    table.select("a")
    env.close()
    del table
    gc.collect()
    assert source() is None


def test_numbers_go_on_over_the_life_of_an_environment(env: StreamExecutionEnvironment) -> None:
    env.from_collection([1]).print()
    env.execute()
    assert env.from_collection([1]).node.id == 3
