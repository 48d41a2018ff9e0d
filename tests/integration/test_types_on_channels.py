"""The edge has the declared type: printed and written values do not depend on how operators are chained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Encoder, Row, Types
from shmflink.datastream import (
    CoMapFunction,
    DataStream,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    StreamExecutionEnvironment,
)
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.expressions import col
from shmflink.testing import Channels, MiniCluster

ROW = Types.ROW_NAMED(["a", "b"], [Types.STRING(), Types.INT()])
TAG = OutputTag("side", ROW)
PLAIN_TAG = OutputTag("plain")


@pytest.fixture(params=list(Channels))
def env(request: pytest.FixtureRequest) -> Iterator[StreamExecutionEnvironment]:
    with MiniCluster(slots=2, channels=request.param):
        environment = StreamExecutionEnvironment.get_execution_environment()
        environment.set_parallelism(1)
        yield environment


class Sides(ProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield TAG, value
        yield PLAIN_TAG, value
        yield value


class Keyed(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: Any) -> Any:
        yield value


class Both(CoMapFunction):
    def map1(self, value: Any) -> Any:
        return value

    def map2(self, value: Any) -> Any:
        return None


TYPED = "+I[x, 7]"
UNTYPED = "Row(a='x', b=7)"

STREAMS: dict[str, tuple[Callable[[DataStream], DataStream], str]] = {
    "the source itself": (lambda s: s, TYPED),
    "map": (lambda s: s.map(lambda r: r, ROW), TYPED),
    "map without a type": (lambda s: s.map(lambda r: r), UNTYPED),
    "filter": (lambda s: s.filter(lambda r: True), TYPED),
    "flat_map": (lambda s: s.flat_map(lambda r: [r], ROW), TYPED),
    "process": (lambda s: s.process(Sides(), ROW), TYPED),
    "side output": (lambda s: s.process(Sides()).get_side_output(TAG), TYPED),
    "side output without a type": (lambda s: s.process(Sides()).get_side_output(PLAIN_TAG), UNTYPED),
    "keyed": (lambda s: s.key_by(lambda r: r["a"]).process(Keyed(), ROW), TYPED),
    "reduce": (lambda s: s.key_by(lambda r: r["a"]).reduce(lambda first, _: first), TYPED),
    "co-map": (lambda s: s.connect(s).map(Both(), ROW), TYPED),
    "union": (lambda s: s.filter(lambda r: True).union(s.filter(lambda r: False)), TYPED),
    "expressions": (lambda s: s.with_columns(b=col("b") + 0), TYPED),
    "aggregate": (lambda s: s.key_by("a").sum("b"), TYPED),
}
EDGES: dict[str, Callable[[DataStream], DataStream]] = {
    "chained": lambda s: s,
    "rebalanced": lambda s: s.rebalance(),
    "unchained": lambda s: s.disable_chaining(),
    "broadcast": lambda s: s.broadcast(),
}


def made(env: StreamExecutionEnvironment, name: str, edge: str) -> DataStream:
    stream = STREAMS[name][0](env.from_collection([Row(a="x", b=7)], ROW))
    if edge == "unchained" and name in ("the source itself", "union", "side output", "side output without a type"):
        return stream.rebalance()
    return EDGES[edge](stream)


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", STREAMS)
def test_print(env: StreamExecutionEnvironment, capfd: pytest.CaptureFixture[str], name: str, edge: str) -> None:
    made(env, name, edge).print()
    env.execute()
    shown = STREAMS[name][1].replace(", ", ",") if STREAMS[name][1] == TYPED else STREAMS[name][1]
    assert capfd.readouterr().out == f"{shown}\n"


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", STREAMS)
def test_files_of_rows(env: StreamExecutionEnvironment, tmp_path: Path, name: str, edge: str) -> None:
    sink = FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build()
    made(env, name, edge).sink_to(sink)
    env.execute()
    text = "".join(part.read_text() for part in tmp_path.rglob("*") if part.is_file())
    assert text == f"{STREAMS[name][1]}\n"


def test_scalars_are_printed_as_their_type_is(
    env: StreamExecutionEnvironment, capfd: pytest.CaptureFixture[str]
) -> None:
    stream = env.from_collection([1]).map(lambda v: v == 1, Types.BOOLEAN())
    stream.print("chained")
    stream.rebalance().print("rebalanced")
    env.execute()
    assert sorted(capfd.readouterr().out.splitlines()) == ["chained> true", "rebalanced> true"]


def test_rows_of_columns_have_the_type_of_the_stream(
    env: StreamExecutionEnvironment, capfd: pytest.CaptureFixture[str]
) -> None:
    table = pa.table({"a": pa.array([1], pa.int8()), "t": pa.array([[1, 2]], pa.list_(pa.int16()))})
    stream = env.from_arrow(table)
    stream.print("chained")
    stream.rebalance().print("rebalanced")
    stream.filter(lambda row: True).rebalance().print("filtered")
    env.execute()
    lines = [line.split("> ") for line in sorted(capfd.readouterr().out.splitlines())]
    assert [name for name, _ in lines] == ["chained", "filtered", "rebalanced"]
    assert len({text for _, text in lines}) == 1
