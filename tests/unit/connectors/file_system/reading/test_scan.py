"""Sources of columns: columns of files, of their folders and about them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.driver import Driver
from pyarrow import orc

from shmflink.connectors.base import Poll
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import ColumnsTypeInfo, Types
from shmflink.errors import ConfigurationError, DataFormatError, JobGraphError, TypeMismatchError
from shmflink.expressions import col, lit


def write(path: Path, columns: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if path.suffix == ".orc":
        orc.write_table(table, path)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
            writer.write_table(table, 100)
    elif path.suffix == ".arrows":
        with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
            writer.write_table(table, 100)
    else:
        pq.write_table(table, path, **options)
    return path


def read(driver: Driver, source: FileSource, parallelism: int = 1) -> dict[str, list[Any]]:
    """All columns, of a source that has been where sources go."""
    source = pickle.loads(pickle.dumps(source))
    batches = [batch.columns() for batch in driver.batches(source, parallelism)]
    assert source.schema is not None
    return pa.Table.from_batches(batches, source.schema).to_pydict()


@pytest.fixture
def hive(tmp_path: Path) -> Path:
    for year in (2023, 2024):
        for month in (1, 2):
            columns = {"n": [year, month], "s": [f"{year}", None], "year": [0, 0]}
            write(tmp_path / f"t/year={year}/month={month:02}/f.parquet", columns)
    return tmp_path / "t"


def test_folders_tell_typed_columns_and_win_over_the_files(driver: Driver, hive: Path) -> None:
    source = FileSource.parquet(hive)
    assert source.produced_type == ColumnsTypeInfo(
        pa.schema([("n", pa.int64()), ("s", pa.string()), ("year", pa.int64()), ("month", pa.int64())])
    )
    rows = read(driver, source)
    assert rows["year"] == [2023] * 4 + [2024] * 4
    assert rows["month"] == [1, 1, 2, 2] * 2
    assert rows["n"] == [2023, 1, 2023, 2, 2024, 1, 2024, 2]


def test_folders_with_declared_types_or_none(driver: Driver, hive: Path) -> None:
    rows = read(driver, FileSource.parquet(hive, partitions={"month": pa.string()}))
    assert rows["month"][:3] == ["01", "01", "02"]
    assert rows["year"] == [0] * 8
    assert FileSource.parquet(hive, partitions=None).schema.names == ["n", "s", "year"]  # type: ignore[union-attr]
    with pytest.raises(ConfigurationError, match="neither 'auto' nor a schema"):
        FileSource.parquet(hive, partitions="hive")  # type: ignore[typeddict-item] - what a user may write


def test_a_filter_on_folders_leaves_files_unread(driver: Driver, hive: Path) -> None:
    predicate = (col("year") == lit(2024)) & (col("month") > lit(1)) & (col("n") > lit(10))
    filtered = FileSource.parquet(hive).with_filter(predicate)
    assert filtered is not None
    source, is_exact = filtered
    assert is_exact
    for path in hive.glob("year=2023/*/*"):
        path.write_bytes(b"not read")
    splits = source.create_enumerator(1).snapshot()
    assert [len(split.payload.ranges) for split in splits] == [1]
    assert read(driver, source) == {"n": [2024], "s": ["2024"], "year": [2024], "month": [2]}
    assert read(driver, source.with_columns(["month"])) == {"month": [2]}  # type: ignore[arg-type]


def test_columns_and_filters_of_every_kind(driver: Driver, hive: Path) -> None:
    source = FileSource.parquet(hive, metadata={"file_name": "name", "row_number": "row"})
    predicate = (col("row") == lit(1)) & (col("n") + col("month") == lit(4)) & (col("name") == lit("f.parquet"))
    filtered = source.with_filter(predicate)
    assert filtered is not None
    assert read(driver, filtered[0]) == {
        "n": [2, 2],
        "s": [None, None],
        "year": [2023, 2024],
        "month": [2, 2],
        "name": ["f.parquet"] * 2,
        "row": [1, 1],
    }
    narrow = filtered[0].with_columns(["year"])
    assert narrow is not None
    assert read(driver, narrow) == {"year": [2023, 2024]}
    with pytest.raises(TypeMismatchError, match="gone"):
        source.with_filter(col("gone") == lit(1))


def test_where_rows_come_from(driver: Driver, tmp_path: Path) -> None:
    path = write(tmp_path / "f.parquet", {"n": [7, 8]})
    os.utime(path, ns=(0, 1_700_000_000_123_000_000))
    wanted = ["file_path", "file_name", "file_size", "file_modified", "row_number"]
    rows = read(driver, FileSource.parquet(path, metadata=wanted))
    assert rows["file_path"] == [str(path)] * 2
    assert rows["file_size"] == [path.stat().st_size] * 2
    assert rows["file_modified"][0].timestamp() == 1_700_000_000.123
    assert rows["row_number"] == [0, 1]
    with pytest.raises(ConfigurationError, match=r"'filename' is not one of .*; did you mean 'file_name'"):
        FileSource.parquet(path, metadata=["filename"])
    with pytest.raises(JobGraphError, match="there already is a column 'n'"):
        FileSource.parquet(path, metadata={"row_number": "n"})


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows", "orc"])
def test_row_numbers_however_a_file_is_cut(driver: Driver, tmp_path: Path, suffix: str) -> None:
    rows = 1000
    path = write(tmp_path / f"f.{suffix}", {"n": list(range(rows)), "pad": ["x" * 3000 + str(n) for n in range(rows)]})
    make = {"parquet": FileSource.parquet, "orc": FileSource.orc}.get(suffix, FileSource.ipc)
    source = make(path, metadata=["row_number"])
    read_rows = read(driver, source, 3)
    assert sorted(read_rows["n"]) == list(range(rows))
    assert read_rows["row_number"] == read_rows["n"]
    filtered = source.with_filter(col("n") % lit(100) == lit(3))
    assert filtered is not None
    assert sorted(read(driver, filtered[0], 3)["row_number"]) == list(range(3, rows, 100))


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "arrows", "orc"])
def test_a_reader_goes_on_from_its_snapshot(driver: Driver, tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.{suffix}", {"n": [1] * 15_000 + [2] * 15_000, "s": [name] * 30_000})
    make = {"parquet": FileSource.parquet, "orc": FileSource.orc}.get(suffix, FileSource.ipc)
    source = make(tmp_path, columns=["s", "row_number"], metadata=["row_number"])
    splits = list(source.create_enumerator(1).snapshot())
    assert len(splits) == 1
    everything = driver.read_split(source, splits[0])
    reader = source.create_reader(driver.context())
    reader.add_split(splits[0])
    begun: list[Row] = []
    while len(begun) < len(everything):
        answer = reader.poll()
        if isinstance(answer, Batch):
            begun += answer.rows()
            rest = reader.snapshot()
            after = driver.read_split(source, rest[0]) if rest else []
            assert len(begun) + len(after) == len(everything)
            assert begun + after == everything
    reader.close()


def test_many_small_files_become_few_splits_and_long_batches(driver: Driver, tmp_path: Path) -> None:
    for number in range(150):
        write(tmp_path / f"{number}.parquet", {"n": [number] * 10})
    source = FileSource.parquet(tmp_path)
    assert len(source.create_enumerator(2).snapshot()) <= 8
    batches = driver.batches(source)
    assert len(batches) < 10
    assert [row.n for batch in batches for row in batch.rows()] == [n for n in range(150) for _ in range(10)]


def test_schemas_of_files_are_merged(driver: Driver, tmp_path: Path) -> None:
    write(tmp_path / "1.parquet", {"a": pa.array([1], pa.int32())})
    write(tmp_path / "2.parquet", {"b": [True], "a": [2.5]})
    with pytest.raises(DataFormatError, match=r"column 'b' \(bool\) of .*2.parquet is not in .*1.parquet"):
        FileSource.parquet(tmp_path)
    assert read(driver, FileSource.parquet(tmp_path, schema_merge="widen")) == {"a": [1.0, 2.5], "b": [None, True]}
    declared = FileSource.parquet(tmp_path, schema=pa.schema([("a", pa.string()), ("c", pa.int8())]))
    assert read(driver, declared) == {"a": ["1", "2.5"], "c": [None, None]}
    with pytest.raises(JobGraphError, match="there is no column 'x'; the files have a, b"):
        FileSource.parquet(tmp_path, schema_merge="widen", columns=["x"])


def test_options_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'columns'"):
        FileSource.parquet(tmp_path, colums=["a"])  # type: ignore[call-arg] - what a user may write
    with pytest.raises(JobGraphError, match="at least one path"):
        FileSource.parquet([])


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "orc"])
def test_a_file_cut_short_names_itself(driver: Driver, tmp_path: Path, suffix: str) -> None:
    good = write(tmp_path / f"a.{suffix}", {"n": list(range(1000))})
    bad = write(tmp_path / f"b.{suffix}", {"n": list(range(1000))})
    make = {"parquet": FileSource.parquet, "orc": FileSource.orc}.get(suffix, FileSource.ipc)
    source = make(tmp_path)
    bad.write_bytes(bad.read_bytes()[:-200])
    with pytest.raises(DataFormatError, match=f"{bad}: not a readable"):
        read(driver, source)
    good.write_bytes(b"something else altogether")
    with pytest.raises(DataFormatError, match=f"{good}: not a readable"):
        make(tmp_path)


def test_a_corrupt_page_names_row_group_and_byte(driver: Driver, tmp_path: Path) -> None:
    path = write(tmp_path / "f.parquet", {"n": list(range(400_000))}, row_group_size=200_000, use_dictionary=False)
    source = FileSource.parquet(path)
    start = pq.read_metadata(path).row_group(1).column(0).data_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 64] = b"\xff" * 64
    path.write_bytes(data)
    with pytest.raises(
        DataFormatError, match=rf"{path}: corrupt Parquet data in row group 1, which begins at byte {start}"
    ):
        read(driver, source)


def test_lines_with_their_file(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "k=v").mkdir()
    (tmp_path / "k=v" / "a.txt").write_text("x\ny\n")
    lines = FileSource.text(tmp_path, metadata=["file_name", "row_number"])
    assert read(driver, lines) == {
        "value": ["x", "y"],
        "k": ["v"] * 2,
        "file_name": ["a.txt"] * 2,
        "row_number": [0, 1],
    }
    filtered = lines.with_filter(col("value") == lit("y"))
    assert filtered is not None
    assert read(driver, filtered[0])["row_number"] == [1]
    plain = FileSource.text(tmp_path, partitions=None)
    assert plain.produced_type == Types.STRING()
    assert driver.rows(plain) == ["x", "y"]


def test_a_source_that_is_watched_says_so(tmp_path: Path) -> None:
    with pytest.raises(JobGraphError, match="no file yet from which to infer the columns; give schema="):
        FileSource.parquet(tmp_path, monitor_interval=1)
    watched = FileSource.parquet(tmp_path, monitor_interval=0.01, schema=pa.schema([("n", pa.int64())]))
    assert watched.boundedness.name == "CONTINUOUS_UNBOUNDED"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[str]:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in ("a", "b", "_hidden"):
        local = write(tmp_path / f"{name}.parquet", {"n": [name] * 3})
        system.pipe(f"/t/k=1/{name}.parquet", local.read_bytes())
    yield "memory://t"
    system.rm("/t", recursive=True)


def test_other_file_systems(driver: Driver, memory: str) -> None:
    def rows(path: str) -> list[str]:
        source = FileSource.parquet(path, metadata=["file_path"])
        enumerator = source.create_enumerator(1)
        reader = source.create_reader(driver.context())
        found = []
        while (answer := reader.poll()) is not Poll.END:
            if isinstance(answer, Batch):
                found += [(row.n, row.k, row.file_path.rpartition("/")[2]) for row in answer.rows()]
            elif answer is Poll.NEED_SPLIT:
                split = enumerator.next_split(0)
                if split is not None:
                    reader.add_split(split)
                elif enumerator.is_exhausted:
                    reader.no_more_splits()
        reader.close()
        return found

    everything = [(name, 1, f"{name}.parquet") for name in "ab" for _ in range(3)]
    assert rows(memory) == everything
    assert rows(f"{memory}/*/[ab].parquet") == everything
    assert rows(f"{memory}/k=1/b.parquet") == everything[3:]
    with pytest.raises(JobGraphError, match="no such file, or no visible file"):
        FileSource.parquet("memory://nothing")
    with pytest.raises(ConfigurationError, match="fsspec has no file system `nope:`"):
        FileSource.parquet("nope://x/y")
    with pytest.raises(ConfigurationError, match="pass the part after `\\?` as storage_options"):
        FileSource.parquet("s3://bucket/key?region=x")


def test_lines_of_many_small_files_come_in_long_batches(driver: Driver, tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.txt").write_text(f"{number}\n" * 3)
    batches = driver.batches(FileSource.text(tmp_path))
    assert len(batches) == 1
    assert batches[0].rows() == [str(number) for number in range(50) for _ in range(3)]


def test_filters_that_say_all_or_nothing(driver: Driver, tmp_path: Path) -> None:
    path = write(tmp_path / "f.parquet", {"n": [1, None, 3]})
    for value, expected in ((True, [1, None, 3]), (False, [])):
        filtered = FileSource.parquet(path).with_filter(lit(value))
        assert filtered is not None
        assert read(driver, filtered[0]) == {"n": expected}
    impossible = FileSource.parquet(path, schema=pa.schema([("n", pa.int64()), ("gone", pa.int64())]))
    for predicate, rows in ((col("gone") == lit(1), 0), (col("gone").is_null, 3)):
        filtered = impossible.with_filter(predicate)
        assert filtered is not None
        assert len(read(driver, filtered[0])["n"]) == rows
