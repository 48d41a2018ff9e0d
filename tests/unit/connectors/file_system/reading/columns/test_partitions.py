from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from shmflink.connectors.file_system.file_systems import FileInfo
from shmflink.connectors.file_system.reading.columns.partitions import infer_partitions, partition_values, prune_files
from shmflink.errors import DataFormatError
from shmflink.expressions import col, lit

PATHS = [
    "/t/year=2024/month=01/day=2024-01-31/city=Aix%2Fen/f",
    "/t/year=2025/month=12/day=__HIVE_DEFAULT_PARTITION__/city=x=y/f",
]
SCHEMA = pa.schema([("year", pa.int64()), ("month", pa.int64()), ("day", pa.date32()), ("city", pa.string())])


def test_types_are_inferred_from_all_folders() -> None:
    assert infer_partitions(PATHS) == SCHEMA
    assert infer_partitions(["/t/n=1/f", "/t/n=a/f"]) == pa.schema([("n", pa.string())])
    assert infer_partitions(["/t/a=1", "/=2/f"]) == pa.schema([])  # a file's own name tells nothing


def test_values_are_typed() -> None:
    values = [[value.as_py() for value in partition_values(path, SCHEMA)] for path in PATHS]
    assert values == [[2024, 1, dt.date(2024, 1, 31), "Aix/en"], [2025, 12, None, "x=y"]]
    assert partition_values("/t/f", pa.schema([("year", pa.int64())]))[0].as_py() is None
    with pytest.raises(DataFormatError, match="/t/n=a/f: the folder name n=a is not a valid int64"):
        partition_values("/t/n=a/f", pa.schema([("n", pa.int64())]))


def test_files_are_left_out_by_their_folders() -> None:
    files = [FileInfo(path, 1) for path in PATHS]
    assert prune_files(files, SCHEMA, None) == files
    assert prune_files(files, SCHEMA, col("year") == lit(2025)) == files[1:]
    assert prune_files(files, SCHEMA, col("day") == lit(dt.date(2024, 1, 31))) == files[:1]
    assert prune_files(files, SCHEMA, col("city").is_null) == []
