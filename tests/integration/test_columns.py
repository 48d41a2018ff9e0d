"""Columns, records and batches mixed in one job, run inline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from shmflink.common import Types
from shmflink.connectors.base import Poll, Source, Split
from shmflink.connectors.split_queue import SplitQueue
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core import batch as batches
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.datastream import OutputTag, RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.errors import ConfigurationError, JobExecutionError
from shmflink.expressions import col, count, lit
from shmflink.operators.base import SideOutput
from shmflink.testing import MiniCluster

TABLE = pa.table({"user": ["a", "b", "a", None], "price": pa.array([1, 2, 3, 4], pa.int64())})


@pytest.fixture
def env() -> Iterator[Any]:
    with MiniCluster(slots=2):
        made = StreamExecutionEnvironment.get_execution_environment()
        made.set_runtime_mode(RuntimeExecutionMode.BATCH)
        yield made


def rows(stream: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in stream.to_arrow().to_pylist()), key=repr)


def test_expressions_functions_and_batch_functions_in_one_job(env: Any) -> None:
    def doubled(columns: pa.RecordBatch) -> pa.RecordBatch:
        return pa.record_batch(
            {"user": columns.column("user"), "price": pa.compute.multiply(columns.column("price"), 2)}
        )

    stream = env.from_arrow(TABLE).filter(col("price") > 1)
    stream = stream.map_batches(doubled, output_type=stream.get_type())
    named = stream.map(lambda row: (row.user, row["price"] + row[1]), Types.TUPLE([Types.STRING(), Types.LONG()]))
    assert rows(named.select(who=col("f0"), total=col("f1"))) == [("a", 12), ("b", 8), (None, 16)]


def test_columns_survive_a_chain_without_conversion(env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    conversions: list[str] = []
    for name in ("encode", "decode"):
        convert = getattr(batches, name)
        monkeypatch.setattr(
            batches, name, lambda *args, convert=convert, name=name: conversions.append(name) or convert(*args)
        )
    stream = env.from_arrow(TABLE).filter(col("price") > 1).with_columns(x=col("price") * 2).rename(x="y")
    stream = stream.map_batches(lambda columns: columns, output_type=stream.get_type()).key_by("user")
    stream = stream.aggregate(n=count(), most=col("y").max).select("user", "most")
    assert rows(stream) == [("a", 6), ("b", 4), (None, 8)]
    assert conversions == []
    # One record function: to rows once and back once, whatever is around it.
    mapped = (
        env.from_arrow(TABLE).filter(col("price") > 3).map(lambda row: row, output_type=ColumnsTypeInfo(TABLE.schema))
    )
    assert rows(mapped.filter(col("price") > 0).select("price")) == [(4,)]
    assert conversions == ["decode", "encode"]


def test_record_operators_on_streams_keyed_by_columns(env: Any) -> None:
    table = env.from_arrow(TABLE)
    summed = table.key_by("user").reduce(lambda a, b: Row(user=a.user, price=a.price + b.price))
    assert rows(summed) == [("a", 4), ("b", 2), (None, 4)]
    assert rows(table.key_by("user").sum("price")) == [("a", 4), ("b", 2), (None, 4)]
    assert rows(table.key_by("user").max(1)) == [("a", 3), ("b", 2), (None, 4)]
    assert rows(table.key_by("user", col("price") > 2).min_by("price")) == [("a", 1), ("a", 3), ("b", 2), (None, 4)]
    assert rows(table.key_by((col("price") > 2).alias("k")).sum("price").select("price")) == [(3,), (7,)]


def test_a_keyed_stream_is_collected_as_pairs(env: Any) -> None:
    pairs = list(env.from_arrow(TABLE).key_by("user", "price").execute_and_collect())
    assert min(((row[0], row[1].price) for row in pairs), key=repr) == (("a", 1), 1)


def test_an_aggregate_over_a_union_and_over_nothing(env: Any) -> None:
    both = env.from_arrow(TABLE).union(env.from_arrow(TABLE))
    assert rows(both.key_by("user").aggregate(n=count())) == [("a", 4), ("b", 2), (None, 2)]
    nothing = env.from_arrow(TABLE).filter(lit(False))
    assert rows(nothing.aggregate(n=count(), top=col("price").max)) == [(0, None)]
    assert rows(nothing.key_by("user").aggregate(n=count())) == []


def test_timestamps_stay_with_their_rows() -> None:
    from shmflink.operators.columns.expressions import ColumnsOperator
    from shmflink.operators.columns.steps import Explode, Filter
    from shmflink.testing import OperatorHarness

    table = pa.record_batch({"xs": pa.array([[1, 2], [3], [4, 5]])})
    operator = ColumnsOperator(ColumnsTypeInfo(table.schema), [Explode("xs", col("xs")), Filter(col("xs") > 1)])
    with OperatorHarness(operator) as harness:
        harness.process_batch(Batch.of_columns(table, timestamps=pa.array([10, 20, 30])))
        assert harness.timestamps() == [10, 20, 30, 30]


def test_results_in_each_form(env: Any) -> None:
    stream = env.from_arrow(TABLE).filter(col("price") > 2)
    assert stream.to_arrow().schema == TABLE.schema
    assert stream.collect_arrow().num_rows == 2
    with stream.iter_batches() as made:
        assert all(isinstance(batch, pa.RecordBatch) for batch in made)
    empty = env.from_arrow(TABLE).filter(lit(False)).to_arrow()
    assert (empty.num_rows, empty.schema) == (0, TABLE.schema)


def test_results_as_frames(env: Any) -> None:
    stream = env.from_arrow(TABLE).filter(col("price") > 2)
    polars = pytest.importorskip("polars")
    assert sorted(stream.to_polars()["price"].to_list()) == [3, 4]
    assert rows(env.from_polars(polars.DataFrame({"n": [1, 2]}))) == [(1,), (2,)]
    pandas = pytest.importorskip("pandas")
    assert stream.to_pandas()["price"].sum() == 7
    assert rows(env.from_pandas(pandas.DataFrame({"n": [1, 2]}))) == [(1,), (2,)]


def test_a_missing_package_is_named(env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ConfigurationError, match=r"to_polars\(\) needs polars.*pip install 'shmflink\[polars\]'"):
        env.from_arrow(TABLE).to_polars()


def test_closing_early_ends_the_job(env: Any) -> None:
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    endless = env.generate(lambda start, stop: pa.record_batch({"n": pa.array(range(start, stop), pa.int64())}))
    with endless.filter(col("n") >= 0).iter_batches() as made:
        assert next(made).num_rows > 0


def test_a_value_that_an_expression_cannot_take_fails_the_job_with_its_line(env: Any) -> None:
    with pytest.raises(JobExecutionError, match=r"test_columns\.py:\d+"):
        env.from_arrow(pa.table({"s": ["1", "x"]})).select(n=col("s").cast(pa.int64())).to_arrow()


class Halves(Source):
    """Hands out even numbers as rows, and odd ones beside."""

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitQueue:
        return SplitQueue([Split("0", None)])

    def create_reader(self, context: Any) -> SplitReader:
        return SplitReader(lambda split: HalvesCursor())

    @property
    def produced_type(self) -> ColumnsTypeInfo:
        return ColumnsTypeInfo(pa.schema([("n", pa.int64())]))

    def side_output_type(self, tag: str) -> ColumnsTypeInfo | None:
        return ColumnsTypeInfo(pa.schema([("odd", pa.int64())])) if tag == "odd" else None


class HalvesCursor(SplitCursor):
    def __init__(self) -> None:
        self._next = 0

    def next_batch(self) -> Batch | SideOutput | Poll | None:
        self._next += 1
        if self._next > 6:
            return None
        if self._next % 2:
            return SideOutput("odd", Batch.of_columns(pa.record_batch({"odd": [self._next]})))
        return Batch.of_columns(pa.record_batch({"n": [self._next]}))

    def remaining(self) -> Split:
        return Split("0", None)


@pytest.mark.parametrize("chained", [True, False])
def test_side_outputs_of_a_source(env: Any, chained: bool) -> None:
    from shmflink.common import WatermarkStrategy

    if not chained:
        env.disable_operator_chaining()
    source = env.from_source(Halves(), WatermarkStrategy.no_watermarks(), "halves")
    odd = source.get_side_output(OutputTag("odd"))
    assert odd.schema.names == ["odd"]
    beside = odd.select(x=col("odd") * 10)
    both = beside.union(source.select(x=col("n")))
    assert sorted(both.to_arrow().column("x").to_pylist()) == [2, 4, 6, 10, 30, 50]
    assert rows(source) == [(2,), (4,), (6,)]
