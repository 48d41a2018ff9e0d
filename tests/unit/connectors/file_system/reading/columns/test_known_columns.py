from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from oracle.driver import Driver

from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.errors import DataFormatError
from shmflink.expressions import col

FILES_LOOKED_AT = 32


def write(kind: str, path: Path, columns: dict[str, list[Any]]) -> None:
    table = pa.table(columns)
    if kind == "parquet":
        pq.write_table(table, path)
    elif kind == "orc":
        pyarrow.orc.write_table(table, str(path))
    elif kind == "ipc":
        pyarrow.feather.write_feather(table, str(path))
    else:
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
        path.write_text("\n".join(lines) + "\n")


def folder(kind: str, path: Path, last: dict[str, list[Any]]) -> str:
    """As many files of `a` and `b` as are looked at for the schema, and one more."""
    for number in range(FILES_LOOKED_AT):
        write(kind, path / f"{number}.x", {"a": [number], "b": [0]})
    write(kind, path / "99.x", last)
    return str(path)


def rows(driver: Driver, source: FileSource) -> int:
    return sum(batch.num_rows for batch in driver.batches(source))


@pytest.mark.parametrize("kind", ["parquet", "orc", "ipc", "csv"])
@pytest.mark.parametrize("rule", ["strict", "widen", "widen_to_string"])
def test_a_column_that_only_a_late_file_has_is_an_error(driver: Driver, tmp_path: Path, kind: str, rule: Any) -> None:
    path = folder(kind, tmp_path, {"a": [1], "b": [2], "late": [3]})
    make = getattr(FileSource, kind)
    with pytest.raises(DataFormatError, match=r"99\.x: column 'late' is not among those of the 32 files"):
        rows(driver, make(path, schema_merge=rule))
    pruned = make(path, schema_merge=rule).with_columns(["a"])
    with pytest.raises(DataFormatError, match="column 'late'"):
        rows(driver, pruned)
    schema = pa.schema({"a": pa.int64(), "b": pa.int64(), "late": pa.int64()})
    declared = make(path, schema=schema)
    assert rows(driver, declared) == FILES_LOOKED_AT + 1
    assert rows(driver, make(path, columns=["a"])) == FILES_LOOKED_AT + 1
    assert rows(driver, make(path, schema_merge="first")) == FILES_LOOKED_AT + 1


@pytest.mark.parametrize("kind", ["parquet", "orc", "ipc", "csv"])
def test_strict_means_every_file(driver: Driver, tmp_path: Path, kind: str) -> None:
    path = folder(kind, tmp_path, {"a": [1]})
    make = getattr(FileSource, kind)
    with pytest.raises(
        DataFormatError,
        match=r"99\.x: there is no column 'b', but the 32 files, from which the schema was inferred, have .*widen",
    ):
        rows(driver, make(path, schema_merge="strict"))
    assert rows(driver, make(path, schema_merge="widen")) == FILES_LOOKED_AT + 1


def test_a_renamed_column_is_an_error_under_a_filter_too(driver: Driver, tmp_path: Path) -> None:
    path = folder("parquet", tmp_path, {"a": [1], "B": [2]})
    filtered = FileSource.parquet(path).with_filter(col("a") > 0)
    assert filtered is not None
    with pytest.raises(DataFormatError, match="column 'B' is not among those"):
        rows(driver, filtered[0])


def test_columns_of_folders_are_known(driver: Driver, tmp_path: Path) -> None:
    for number in range(FILES_LOOKED_AT + 1):
        (tmp_path / f"day={number}").mkdir()
        write("parquet", tmp_path / f"day={number}" / "0.x", {"a": [1], "day": [number]})
    assert rows(driver, FileSource.parquet(str(tmp_path))) == FILES_LOOKED_AT + 1


def test_thousands_of_columns(driver: Driver, tmp_path: Path) -> None:
    wide = pa.table({f"c{number}": [number] for number in range(5000)})
    pq.write_table(wide, tmp_path / "in.parquet")
    source = FileSource.parquet(str(tmp_path)).with_columns(["c4999", "c0"])
    assert source is not None
    (batch,) = driver.batches(source)
    assert batch.columns().to_pylist() == [{"c4999": 4999, "c0": 0}]
