from __future__ import annotations

import datetime as dt
import sys
import uuid
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.driver import Driver
from pyarrow import fs

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.parquet.cursor import ParquetCursor
from shmflink.connectors.file_system.formats.parquet.opening import ParquetPlan, ParquetReading
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.core.batch import Batch
from shmflink.errors import DataFormatError
from shmflink.expressions import col

WIDE = "(case when i % 2 = 0 then 4294967295 else 0 end)::uinteger"
"""32-bit values whose differences take 33 bits."""

TYPES = {
    "bool": "i % 2 = 0",
    "tinyint": "i::tinyint",
    "int": "(i * 2000000000 - 2000000000)::integer",
    "ubigint": "18446744073709551615::ubigint",
    "hugeint": "i::hugeint",
    "float": "i::float",
    "decimal of 32 bits": "(i + 0.25)::decimal(9, 2)",
    "decimal of 64 bits": "(i + 0.25)::decimal(18, 4)",
    "decimal of 128 bits": "(i + 0.25)::decimal(38, 10)",
    "text": "'x' || i",
    "blob": "('x' || i)::blob",
    "uuid": "('00112233-4455-6677-8899-00000000000' || i)::uuid",
    "json": "('[' || i || ']')::json",
    "enum": "(case when i = 0 then 'a' else 'b' end)::enum('a', 'b')",
    "bit": "'101'::bit",
    "bignum": "i::bignum",
    "date": "case when i % 2 = 0 then date '1-01-01' else date '9999-12-31' end",
    "time": "time '23:59:59.999999'",
    "timetz": "timetz '01:02:03+02'",
    "timestamp": "case when i % 2 = 0 then timestamp '0001-01-01' else timestamp '9999-12-31 23:59:59.999999' end",
    "timestamp_ms": "timestamp_ms '2024-02-29 01:02:03.004'",
    "timestamp_ns": "timestamp_ns '2024-02-29 01:02:03.000000004'",
    "timestamptz": "timestamptz '9999-12-31 01:02:03+00'",
    "null": "null",
    "null or text": "case when i = 1 then 'x' end",
}
INNER = {"field": "{0}", "list": "[{0}, null]", "map": "map {{'k': {0}}}", "list of structs": "[{{'y': {0}}}]"}


def write(path: Path, columns: str, *, rows: int = 3, version: str = "V2") -> str:
    duckdb = pytest.importorskip("duckdb")
    query = f"select {columns} from range({rows}) t(i)"
    duckdb.sql(f"copy ({query}) to '{path}' (format parquet, parquet_version {version}, row_group_size 2048)")
    return str(path)


def rows_of(driver: Driver, source: FileSource) -> list[dict[str, Any]]:
    return [row for batch in driver.batches(source) for row in batch.columns().to_pylist()]


@pytest.mark.parametrize("value", TYPES.values(), ids=TYPES)
def test_values_of_a_struct_with_wide_differences_have_the_types_of_other_files(
    driver: Driver, tmp_path: Path, value: str
) -> None:
    pytest.importorskip("polars")
    inner = ", ".join(f"'{name.replace(' ', '_')}': {form.format(value)}" for name, form in INNER.items())
    columns = f"{{'w': {WIDE}, {inner}}} s, {value} beside, case when i < 2 then {{'w': {WIDE}, 'x': {value}}} end n"
    wide = FileSource.parquet(write(tmp_path / "v2.parquet", columns))
    usual = FileSource.parquet(write(tmp_path / "v1.parquet", columns, version="V1"))
    with pytest.raises(OSError, match=r"Init.* EOF"):
        pq.read_table(tmp_path / "v2.parquet", columns=["s"])
    assert wide.schema == usual.schema
    assert rows_of(driver, wide) == rows_of(driver, usual)


def test_values_beside_wide_differences_are_those_that_were_written(driver: Driver, tmp_path: Path) -> None:
    pytest.importorskip("polars")
    given = (
        "'00112233-4455-6677-8899-aabbccddeeff'::uuid u, time '01:02:03' t, 1.5::decimal(9, 2) d, date '2024-02-29' c"
    )
    wide = FileSource.parquet(write(tmp_path / "v2.parquet", f"{WIDE} w, {given}, {{'w': {WIDE}, 'u': u}} s"))
    one = "00112233-4455-6677-8899-aabbccddeeff"
    beside = {"u": one, "t": dt.time(1, 2, 3), "d": Decimal("1.50"), "c": dt.date(2024, 2, 29)}
    assert rows_of(driver, wide) == [{"w": w, **beside, "s": {"w": w, "u": one}} for w in (2**32 - 1, 0, 2**32 - 1)]
    filtered = wide.with_filter((col("u") == one) & (col("w") == 0))
    assert filtered is not None
    assert rows_of(driver, filtered[0]) == [{"w": 0, **beside, "s": {"w": 0, "u": one}}]
    as_bytes = FileSource.parquet(
        str(tmp_path), schema=pa.schema({"u": pa.binary(), "s": pa.struct({"w": pa.int64(), "u": pa.binary()})})
    )
    raw = uuid.UUID(one).bytes
    assert rows_of(driver, as_bytes)[0] == {"u": raw, "s": {"w": 2**32 - 1, "u": raw}}


def test_wide_differences_in_a_later_row_group(driver: Driver, tmp_path: Path) -> None:
    pytest.importorskip("polars")
    columns = f"case when i < 4096 then 0::uinteger else {WIDE} end w, i, [case when i < 2048 then 1 else {WIDE} end] l"
    path = write(tmp_path / "v2.parquet", columns, rows=6000)
    wide = [0 if i < 4096 else (i + 1) % 2 * (2**32 - 1) for i in range(6000)]
    inner = [1 if i < 2048 else (i + 1) % 2 * (2**32 - 1) for i in range(6000)]
    expected = [{"w": w, "i": i, "l": [x]} for i, (w, x) in enumerate(zip(wide, inner, strict=True))]
    assert rows_of(driver, FileSource.parquet(path)) == expected


def test_files_elsewhere_are_not_simply_called_corrupt(tmp_path: Path) -> None:
    size = Path(write(tmp_path / "v2.parquet", f"{WIDE} w, i")).stat().st_size
    inside = FileSystem(file_system=fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()))

    def opened(*names: str) -> ParquetCursor:
        reading = ParquetReading(ParquetPlan(pa.schema([(name, pa.int64()) for name in names])))
        return ParquetCursor(Split("0", FileRange("v2.parquet", 0, size)), inside, reading)

    with (
        closing(opened("w", "i")) as cursor,
        pytest.raises(DataFormatError, match=r"v2\.parquet: column 'w' cannot be decoded .*; copy the file here"),
    ):
        cursor.next_batch()
    with closing(opened("i")) as cursor:
        batch = cursor.next_batch()
    assert isinstance(batch, Batch)
    assert batch.columns().to_pylist() == [{"i": 0}, {"i": 1}, {"i": 2}]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (f"{WIDE} w, interval (i) day f", "cannot open a file with an INTERVAL, as 'f' is"),
        (f"{WIDE} w, {{'f': interval (i) day}} s", "cannot open a file with an INTERVAL, as 's.f' is"),
        (f"{WIDE} w, i::variant f", "cannot open this file: parquet: .*"),
    ],
)
def test_what_polars_cannot_open_is_not_called_corrupt(
    driver: Driver, tmp_path: Path, columns: str, reason: str
) -> None:
    pytest.importorskip("polars")
    path = write(tmp_path / "v2.parquet", columns)
    with pytest.raises(
        DataFormatError, match=f"v2.parquet: .*column 'w' is not supported .the file is not.*{reason}; rewrite"
    ):
        driver.batches(FileSource.parquet(path))


def test_nulls_in_arrays_of_duckdb_are_known(driver: Driver, tmp_path: Path) -> None:
    path = write(tmp_path / "arrays.parquet", "case when i = 1 then null else [i, i]::int[2] end a, i", version="V1")
    with pytest.raises(
        DataFormatError, match=r"corrupt Parquet data in row group 0.*DuckDB.*NULLs in ARRAY columns; cast"
    ):
        driver.batches(FileSource.parquet(path))
    lists = write(tmp_path / "l.parquet", "case when i = 1 then null else [i, i]::int[2] end::int[] a", version="V1")
    assert rows_of(driver, FileSource.parquet(lists)) == [{"a": [0, 0]}, {"a": None}, {"a": [2, 2]}]


def wide_deltas(path: Path) -> str:
    """32-bit values whose differences take 33 bits, as DuckDB encodes them."""
    duckdb = pytest.importorskip("duckdb")
    rows = "select ((i * 2654435761) % 4294967296 - 2147483648)::int a, i from range(5000) t(i)"
    duckdb.sql(f"copy ({rows}) to '{path}' (format parquet, parquet_version V2)")
    return str(path)


def test_differences_of_33_bits_are_read_by_polars(driver: Driver, tmp_path: Path) -> None:
    pytest.importorskip("polars")
    path = wide_deltas(tmp_path / "v2.parquet")
    read = [row for batch in driver.batches(FileSource.parquet(path)) for row in batch.columns().to_pylist()]
    assert read == [{"a": i * 2654435761 % 2**32 - 2**31, "i": i} for i in range(5000)]
    filtered = FileSource.parquet(path).with_filter(col("i") >= 4998)
    assert filtered is not None
    kept = [row["a"] for batch in driver.batches(filtered[0]) for row in batch.columns().to_pylist()]
    assert kept == [row["a"] for row in read[4998:]]


def test_differences_of_33_bits_are_not_called_corrupt(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wide_deltas(tmp_path / "v2.parquet")
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(DataFormatError, match=r"encoding of column 'a' is not supported \(the file is not corrupt\)"):
        driver.batches(FileSource.parquet(path))
