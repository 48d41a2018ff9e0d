from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import struct
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.driver import Driver

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.parquet.cursor import ParquetCursor
from shmflink.connectors.file_system.formats.parquet.format import ParquetColumnarRowInputFormat, ParquetFormat
from shmflink.connectors.file_system.formats.parquet.opening import ParquetPlan, ParquetReading
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.connectors.file_system.reading.splits import FileRange
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.errors import ConfigurationError, DataFormatError, TypeMismatchError
from shmflink.expressions import col


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.parquet"
    table = pa.table({"n": list(range(1000)), "s": [str(n) for n in range(1000)]})
    pq.write_table(table, path, row_group_size=100)
    return path


def source(path: Path, **options: Any) -> FileSource:
    return FileSource.for_bulk_file_format(ParquetFormat(**options), str(path)).build()


def test_rows_have_the_files_columns(driver: Driver, numbers: Path) -> None:
    rows = driver.rows(source(numbers))
    assert rows[:2] == [Row(n=0, s="0"), Row(n=1, s="1")]
    assert len(rows) == 1000


def test_batches_are_bounded_columns(driver: Driver, numbers: Path) -> None:
    batches = driver.batches(source(numbers, batch_size=64))
    assert all(batch.is_columnar and batch.num_rows <= 64 for batch in batches)
    assert sum(batch.num_rows for batch in batches) == 1000


def test_chosen_columns_in_their_order(driver: Driver, numbers: Path) -> None:
    batch = driver.batches(source(numbers, columns=["s", "n"]))[0]
    assert batch.columns().schema.names == ["s", "n"]
    with pytest.raises(DataFormatError, match="there is no column 'x'; the file has n, s"):
        source(numbers, columns=["x"])


def test_every_row_group_is_in_one_split_wherever_the_file_is_cut(numbers: Path) -> None:
    size = numbers.stat().st_size
    rows: list[int] = []
    for start in range(0, size, 997):
        file_range = FileRange(str(numbers), start, min(997, size - start))
        reading = ParquetReading(ParquetPlan(pa.schema([("n", pa.int64())])))
        cursor = ParquetCursor(Split("0", file_range), FileSystem(), reading)
        while isinstance(batch := cursor.next_batch(), Batch):
            rows += batch.columns().column("n").to_pylist()
        cursor.close()
    assert sorted(rows) == list(range(1000))


def test_a_reader_goes_on_from_its_snapshot(driver: Driver, numbers: Path) -> None:
    files = source(numbers, batch_size=70)
    reader = files.create_reader(driver.context())
    split = files.create_enumerator(1).next_split(0)
    assert split is not None
    reader.add_split(split)
    first = reader.poll()
    assert isinstance(first, Batch)
    (rest,) = reader.snapshot()
    reader.close()
    rows = first.rows() + driver.read_split(files, rest)
    assert [row.n for row in rows] == list(range(1000))


def test_a_file_that_is_not_parquet_is_found_where_the_program_runs(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    path.write_text("not parquet at all, only text")
    with pytest.raises(DataFormatError, match=re.escape(f"{path}: not a readable Parquet file")):
        source(path)


def test_a_truncated_file_names_itself(driver: Driver, numbers: Path) -> None:
    """[S4] A footer that is gone."""
    files = source(numbers)
    numbers.write_bytes(numbers.read_bytes()[:-100])
    with pytest.raises(DataFormatError, match=re.escape(f"{numbers}: not a readable Parquet file")):
        driver.rows(files)


def test_a_corrupt_page_names_its_file(driver: Driver, numbers: Path) -> None:
    """[S4] Bytes within a page."""
    files = source(numbers)
    data = bytearray(numbers.read_bytes())
    data[4:400] = b"\xff" * 396
    numbers.write_bytes(data)
    with pytest.raises(DataFormatError, match=re.escape(f"{numbers}: corrupt Parquet data")):
        driver.rows(files)


def test_an_impossible_batch_size() -> None:
    with pytest.raises(ConfigurationError, match="batch_size must be at least 1"):
        ParquetFormat(batch_size=0)


def test_rows_of_a_declared_type(driver: Driver, numbers: Path) -> None:
    row_type = Types.ROW_NAMED(["s", "n"], [Types.STRING(), Types.INT()])
    files = FileSource.for_bulk_file_format(ParquetColumnarRowInputFormat(row_type), str(numbers)).build()
    assert files.produced_type == row_type
    batches = driver.batches(files)
    assert batches[0].columns().schema.field("n").type == pa.int32()
    assert batches[0].rows()[0] == Row(s="0", n=0)
    wrong = Types.ROW_NAMED(["s"], [Types.SQL_DATE()])
    files = FileSource.for_bulk_file_format(ParquetColumnarRowInputFormat(wrong), str(numbers)).build()
    with pytest.raises(TypeMismatchError, match="does not fit the declared type"):
        driver.rows(files)
    with pytest.raises(ConfigurationError, match="is_case_sensitive=False"):
        ParquetColumnarRowInputFormat(row_type, is_case_sensitive=False)


def test_row_groups_of_no_rows(driver: Driver, tmp_path: Path) -> None:
    empty = pa.table({"b": pa.array([], pa.bool_()), "a": pa.array([], pa.int64())})
    for number, compression in enumerate(("snappy", "zstd", "none")):
        pq.write_table(empty, tmp_path / f"{number}.parquet", compression=compression, use_dictionary=False)
    pq.write_table(pa.table({"b": [True], "a": [1]}), tmp_path / "9.parquet", compression="zstd")
    batches = driver.batches(FileSource.parquet(str(tmp_path)))
    assert [batch.columns().to_pylist() for batch in batches] == [[{"b": True, "a": 1}]]


def test_int96_are_moments_of_any_year(driver: Driver, tmp_path: Path) -> None:
    moments = [
        dt.datetime(9999, 12, 31, 23, 59, 59),
        dt.datetime(1, 1, 1),
        dt.datetime(2024, 2, 29, 1, 2, 3, 456),
        None,
    ]
    # pyarrow writes INT96 of nanoseconds alone: the bytes are made of what it wrote for a time in range.
    path = tmp_path / "in.parquet"
    stand_ins = [dt.datetime(2200, 1, 1, 23, 59, 59), dt.datetime(1700, 1, 1), *moments[2:]]
    table = pa.table({"t": pa.array(stand_ins, pa.timestamp("us"))})
    pq.write_table(
        table,
        path,
        use_deprecated_int96_timestamps=True,
        use_dictionary=False,
        compression="none",
        write_statistics=False,
    )
    data = path.read_bytes()
    for given, wanted in zip(stand_ins[:2], moments[:2], strict=True):
        data = data.replace(int96(given), int96(wanted))
    path.write_bytes(data)
    (batch,) = driver.batches(FileSource.parquet(str(path)))
    assert batch.columns().column(0).to_pylist() == moments


def int96(moment: dt.datetime) -> bytes:
    """Nanoseconds of the day, and the Julian day."""
    seconds = moment.hour * 3600 + moment.minute * 60 + moment.second
    return struct.pack("<qi", seconds * 1_000_000_000 + moment.microsecond * 1000, moment.toordinal() + 1_721_425)


def test_encodings_of_strings_and_uuids_are_plain_columns(driver: Driver, tmp_path: Path) -> None:
    one = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    strings = [pa.string(), pa.large_string(), pa.string_view()]
    for number, kind in enumerate(strings):
        table = pa.table({"s": pa.array(["x"], kind), "u": pa.array([one.bytes], pa.uuid())})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    source = FileSource.parquet(str(tmp_path))
    assert source.schema == pa.schema({"s": pa.large_string(), "u": pa.string()})
    filtered = source.with_filter((col("s") == "x") & (col("u") == str(one)))
    assert filtered is not None
    found = [row for batch in driver.batches(filtered[0]) for row in batch.columns().to_pylist()]
    assert found == [{"s": "x", "u": str(one)}] * 3
    as_bytes = FileSource.parquet(str(tmp_path), schema=pa.schema({"u": pa.binary()}))
    assert driver.batches(as_bytes)[0].columns().column(0)[0].as_py() == one.bytes


def test_metadata_of_the_footer_with_and_without_an_arrow_schema(tmp_path: Path) -> None:
    plain, added = tmp_path / "plain.parquet", tmp_path / "added.parquet"
    schema = pa.schema([pa.field("n", pa.int64(), metadata={"PARQUET:field_id": "3"})], {"owner": "me"})
    for path, has_schema in ((plain, False), (added, True)):
        with pq.ParquetWriter(path, schema, store_schema=has_schema) as writer:
            writer.write_table(schema.empty_table())
            writer.add_key_value_metadata({"license": "CC0"})
    kept = [ParquetFormat().infer_schema(str(path)) for path in (plain, added)]
    assert [one.metadata for one in kept] == [{b"license": b"CC0"}, {b"owner": b"me", b"license": b"CC0"}]
    assert {one.field("n").metadata[b"PARQUET:field_id"] for one in kept} == {b"3"}


@pytest.mark.parametrize("options", [{}, {"columns": ["s", "n"]}])
def test_metadata_of_columns_that_were_chosen(tmp_path: Path, options: dict[str, Any]) -> None:
    fields = [pa.field("n", pa.int64(), metadata={"comment": "c"}), pa.field("s", pa.string())]
    pq.write_table(pa.schema(fields, {"owner": "me"}).empty_table(), tmp_path / "a.parquet")
    told = [
        FileSource.parquet(str(tmp_path), **options).produced_metadata,
        source(tmp_path / "a.parquet", **options).produced_metadata,
    ]
    assert [one.metadata for one in told] == [{b"owner": b"me"}] * 2
    assert [one.field("n").metadata for one in told] == [{b"comment": b"c"}] * 2


def test_a_row_type_takes_the_metadata_of_its_columns(tmp_path: Path) -> None:
    fields = [pa.field("n", pa.int64(), metadata={"comment": "c"}), pa.field("s", pa.string())]
    pq.write_table(pa.schema(fields, {"owner": "me"}).empty_table(), tmp_path / "a.parquet")
    declared = ParquetColumnarRowInputFormat(Types.ROW_NAMED(["n"], [Types.LONG()]))
    told = FileSource.for_bulk_file_format(declared, str(tmp_path)).build().produced_metadata
    assert (told.metadata, told.names, told.field("n").metadata) == ({b"owner": b"me"}, ["n"], {b"comment": b"c"})


def test_a_declared_schema_says_the_metadata_itself(tmp_path: Path) -> None:
    pq.write_table(pa.schema([("n", pa.int64())], {"owner": "me"}).empty_table(), tmp_path / "a.parquet")
    declared = pa.schema([("n", pa.int64())], {"owner": "you"})
    assert FileSource.parquet(str(tmp_path), schema=declared).produced_metadata.metadata == {b"owner": b"you"}


def test_files_that_say_different_things(tmp_path: Path) -> None:
    for name, owner in (("a", "me"), ("b", "you")):
        schema = pa.schema([("n", pa.int64())], {"owner": owner, "license": "CC0"})
        pq.write_table(schema.empty_table(), tmp_path / f"{name}.parquet")
    assert FileSource.parquet(str(tmp_path)).produced_metadata.metadata == {b"license": b"CC0"}
    assert FileSource.parquet(str(tmp_path), schema_merge="first").produced_metadata.metadata == {b"license": b"CC0"}


def test_no_file_is_spoken_for_by_others_however_many_there_are(tmp_path: Path) -> None:
    for number in range(40):
        geometry = {"encoding": "WKB", "geometry_types": ["Point"], "bbox": [number, 0, number + 1, 1]}
        geo = {"version": "1.1.0", "primary_column": "at", "columns": {"at": geometry}}
        owner = {"owner": "you" if number == 39 else "me", "license": "CC0", "geo": json.dumps(geo)}
        field = pa.field("at", pa.binary(), metadata={"unit": "inch" if number == 38 else "cm", "comment": "c"})
        pq.write_table(pa.schema([field], owner).empty_table(), tmp_path / f"{number:02}.parquet")
    told = FileSource.parquet(str(tmp_path)).produced_metadata
    assert (sorted(told.metadata), told.field("at").metadata) == ([b"geo", b"license"], {b"comment": b"c"})
    assert json.loads(told.metadata[b"geo"])["columns"]["at"]["bbox"] == [0, 0, 40, 1]


@pytest.mark.parametrize("compression", ["snappy", "zstd"])  # read by the core; by pyarrow
def test_batches_have_more_bytes_where_there_are_many_columns(tmp_path: Path, compression: str) -> None:
    def batch_rows(table: pa.Table) -> int:
        path = tmp_path / f"{table.num_columns}.parquet"
        pq.write_table(table, path, compression=compression)
        reading = ParquetReading(ParquetPlan(schema=table.schema))
        opened, _ = reading.open(FileSystem(), FileRange(str(path), 0, path.stat().st_size))
        with contextlib.closing(opened):
            return opened.prepare(table.schema.names, [0])

    wide = pa.table({f"c{number}": pa.array([0] * 100, pa.int64()) for number in range(500)})
    assert batch_rows(wide) == 8192
    assert batch_rows(wide.select(wide.schema.names[:200])) == 8192
    assert batch_rows(wide.select(wide.schema.names[:100])) == 8 * 1024 * 1024 // 800
    assert batch_rows(pa.table({"text": ["x" * (64 << 10)]})) == 1024
