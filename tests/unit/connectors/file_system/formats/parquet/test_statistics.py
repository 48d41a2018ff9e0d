from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.driver import Driver

from shmflink import _core
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.parquet.opening import CoreFile, ParquetPlan, ParquetReading
from shmflink.connectors.file_system.formats.parquet.statistics import arrow_statistics, prune_groups
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.expressions import col

DAY = dt.date(2024, 1, 1)
NOON = dt.datetime(2024, 1, 1, 12)


def kept(path: Path, *bounds: tuple[str, str, Any], schema: pa.Schema | None = None) -> list[int]:
    """The core and pyarrow agree on the row groups, where the core reads such a file."""
    whole = FileRange(str(path), 0, path.stat().st_size)
    by_arrow, _ = ParquetReading(ParquetPlan()).open(FileSystem(), whole)
    found = prune_groups(by_arrow, schema or by_arrow.schema, bounds)
    by_core = _core.ParquetReader(by_arrow.schema, has_bounds=True).open(str(path), 0, whole.length)
    if by_core is not None:
        assert prune_groups(CoreFile(by_core, by_arrow.schema), schema or by_arrow.schema, bounds) == found
    by_arrow.close()
    return sorted(found)


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Three row groups: 0 to 9, 10 to 19, nulls."""
    path = tmp_path / "f.parquet"
    numbers = [*range(20), *[None] * 10]

    def of(make: Any) -> list[Any]:
        return [None if number is None else make(number) for number in numbers]

    columns = {
        "i": pa.array(numbers, pa.int64()),
        "f": pa.array(of(lambda n: n / 10), pa.float32()),
        "s": pa.array(of(lambda n: f"k{n:02}")),
        "d": pa.array(of(lambda n: DAY + dt.timedelta(days=n))),
        "t": pa.array(of(lambda n: NOON + dt.timedelta(hours=n)), pa.timestamp("ns")),
        "z": pa.array(of(lambda n: NOON + dt.timedelta(hours=n)), pa.timestamp("ms", "UTC")),
        "m": pa.array(of(Decimal), pa.decimal128(10, 2)),
        "b": pa.array(of(lambda n: n >= 10)),
        "l": pa.array(of(lambda n: [n])),
    }
    pq.write_table(pa.table(columns), path, row_group_size=10)
    return path


@pytest.mark.parametrize(
    ("bound", "expected"),
    [
        (("i", "=", 5), [0]),
        (("i", "=", 50), []),
        (("i", "<", 10), [0]),
        (("i", "<=", 10), [0, 1]),
        (("i", ">", 9), [1]),
        (("i", ">=", 9), [0, 1]),
        (("i", "in", (3, 12, 99)), [0, 1]),
        (("i", "in", ()), []),
        (("i", "<", 9.5), [0]),
        (("i", "is_null", None), [2]),
        (("i", "is_not_null", None), [0, 1]),
        (("f", "<", 0.5), [0]),
        (("f", "=", 0.1), [0, 1]),  # 0.1 is no float32: rounding might make it equal to something
        (("s", ">=", "k15"), [1]),
        (("d", "=", DAY), [0]),
        (("t", "<", NOON + dt.timedelta(hours=10)), [0]),
        (("t", ">=", NOON + dt.timedelta(hours=10)), [1]),
        (("z", ">", (NOON + dt.timedelta(hours=9)).replace(tzinfo=dt.UTC)), [1]),
        (("m", ">", 9), [1]),
        (("b", "=", True), [1]),
        (("l", "=", [5]), [0, 1, 2]),  # nothing is known of nested columns
        (("i", "=", "5"), [0, 1]),  # values of another kind do not compare
        (("i", "=", None), [0, 1]),
        (("gone", "=", 5), []),
        (("gone", "is_null", None), [0, 1, 2]),
    ],
)
def test_groups_that_may_hold_a_row(groups: Path, bound: tuple[str, str, Any], expected: list[int]) -> None:
    assert kept(groups, bound) == expected


def test_all_bounds_must_hold(groups: Path) -> None:
    assert kept(groups, ("i", ">", 5), ("i", "<", 10), ("s", ">", "k03")) == [0]
    assert kept(groups) == [0, 1, 2]


def test_a_cast_that_changes_the_order_prunes_nothing(groups: Path) -> None:
    as_text = pa.schema([("i", pa.string())])
    assert kept(groups, ("i", "=", "5"), schema=as_text) == [0, 1, 2]
    assert kept(groups, ("i", "=", 5), schema=pa.schema([("i", pa.float64())])) == [0]


def test_files_without_statistics(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"i": [1, 2]}), path, write_statistics=False)
    assert kept(path, ("i", "=", 50)) == [0]


def test_a_column_with_a_dot_is_not_the_field_of_a_struct(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"a": [{"b": 100}], "a.b": [1]}), path)
    metadata = pq.read_metadata(path)
    (found,) = arrow_statistics(metadata, "a.b", pa.int64(), [0]) or ()
    assert (found.low, found.high) == (1, 1)
    assert arrow_statistics(metadata, "a", pa.struct({"b": pa.int64()}), [0]) is None
    filtered = FileSource.parquet(str(path)).with_filter(col("a.b") == 1)
    assert filtered is not None
    (batch,) = driver.batches(filtered[0])
    assert batch.columns().to_pylist() == [{"a": {"b": 100}, "a.b": 1}]
