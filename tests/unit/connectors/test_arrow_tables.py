from __future__ import annotations

import pickle

import pyarrow as pa
import pytest
from oracle.driver import Driver

from shmflink.connectors.arrow_tables import TABLE_BATCH_ROWS, ArrowSource, table_of_polars
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import ColumnsTypeInfo
from shmflink.errors import TypeMismatchError

TABLE = pa.table(
    {"n": pa.array(range(3 * TABLE_BATCH_ROWS // 2), pa.int32()), "s": ["x"] * (3 * TABLE_BATCH_ROWS // 2)}
)


@pytest.mark.parametrize("parallelism", [1, 3])
def test_every_row_once_in_bounded_batches(driver: Driver, parallelism: int) -> None:
    batches = driver.batches(pickle.loads(pickle.dumps(ArrowSource(TABLE))), parallelism)
    assert all(batch.num_rows <= TABLE_BATCH_ROWS for batch in batches)
    assert sorted(n for batch in batches for n in batch.columns().column("n").to_pylist()) == list(range(len(TABLE)))
    assert {batch.row_type for batch in batches} == {ColumnsTypeInfo(TABLE.schema)}


def test_only_the_columns_that_are_asked_for_travel() -> None:
    source = ArrowSource(TABLE).with_columns(["s"])
    assert source.produced_type.schema.names == ["s"]
    assert len(pickle.dumps(source)) < len(pickle.dumps(ArrowSource(TABLE)))


def test_a_slice_travels_without_the_rest() -> None:
    assert len(pickle.dumps(ArrowSource(TABLE.slice(5, 10)))) < 10_000


def test_required_columns_and_metadata_are_plain_inside(driver: Driver) -> None:
    schema = pa.schema([pa.field("n", pa.int8(), nullable=False)], {"made": "elsewhere"})
    source = ArrowSource(pa.table([pa.array([1], pa.int8())], schema=schema))
    assert driver.rows(source) == [Row(n=1)]
    assert driver.batches(source)[0].columns().schema.equals(pa.schema([("n", pa.int8())]), check_metadata=True)


def test_an_empty_table(driver: Driver) -> None:
    assert driver.rows(ArrowSource(TABLE.slice(0, 0))) == []


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(TypeMismatchError, match="more than once"):
        ArrowSource(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))


def test_encoded_columns_become_plain_ones(driver: Driver) -> None:
    table = pa.table(
        {
            "s": pa.array(["a", "b"], pa.string_view()),
            "c": pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.uint32()), pa.array(["x", "y"], pa.string_view())),
            "l": pa.array([[1], None], pa.list_view(pa.int64())),
            "d": pa.array([1, None], pa.decimal32(5, 1)),
        }
    )
    source = ArrowSource(table)
    assert source.produced_type.schema.types == [
        pa.string(),
        pa.dictionary(pa.uint32(), pa.string()),
        pa.list_(pa.int64()),
        pa.decimal128(5, 1),
    ]
    (batch,) = driver.batches(source)
    assert batch.columns().to_pylist() == table.to_pylist()


def test_wide_integers_of_polars_are_decimals() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"i": pl.Series([1, -(2**100), None], dtype=pl.Int128), "s": ["a", "b", None]})
    table = table_of_polars(frame)
    assert table.column("i").type == pa.decimal128(38, 0)
    assert table.column("i").to_pylist() == [1, -(2**100), None]
    with pytest.raises(TypeMismatchError, match=r"from_polars\(\): column 'i' of type Int128 has no Arrow type"):
        table_of_polars(pl.DataFrame({"i": pl.Series([2**127 - 1], dtype=pl.Int128)}))
