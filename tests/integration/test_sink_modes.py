"""What a file sink does with existing files, and without rows; jobs run inline."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from shmflink.common import Types
from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.writing.parts.staging import EmptyFile, FileCommitter, StagedFile
from shmflink.connectors.file_system.writing.replacing import ReplacedFiles, files_before
from shmflink.datastream import RuntimeExecutionMode, StreamExecutionEnvironment
from shmflink.datastream.connectors.file_system import FileSink
from shmflink.errors import JobExecutionError, JobGraphError
from shmflink.expressions import col, lit
from shmflink.testing import MiniCluster

TABLE = pa.table({"k": ["a", "b"] * 50, "n": list(range(100))})


@pytest.fixture
def env() -> Iterator[Any]:
    with MiniCluster(slots=2):
        made = StreamExecutionEnvironment.get_execution_environment()
        made.set_runtime_mode(RuntimeExecutionMode.BATCH)
        yield made


def seen(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def numbers(folder: Path) -> list[int]:
    return sorted(pq.read_table(folder)["n"].to_pylist())


def write(env: Any, folder: Path, rows: pa.Table = TABLE, **options: Any) -> None:
    env.from_arrow(rows).sink_to(FileSink.parquet(os.fspath(folder), **options))
    env.execute()


def test_append_is_the_default_and_adds(env: Any, tmp_path: Path) -> None:
    write(env, tmp_path, TABLE.slice(0, 3))
    write(env, tmp_path, TABLE.slice(3, 2))
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]


def test_overwrite_replaces_what_was_there_and_nothing_else(env: Any, tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    (outside / "kept.parquet").write_bytes(b"elsewhere")
    write(env, folder, TABLE.slice(0, 50), partition_by="k")
    others = [".part-7.parquet.inprogress.0123", "_delta_log/0.json", "k=a/.hidden/x.parquet"]
    for name in others:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"others")
    (folder / "linked").symlink_to(outside)
    (folder / "k=a" / "link.parquet").symlink_to(outside / "kept.parquet")
    write(env, folder, TABLE.slice(50, 4), partition_by="k", mode="overwrite")
    found = seen(folder)
    assert [name for name in found if name in others] == sorted(others)
    parts = [name for name in found if "part-" in name and name not in others]
    assert sorted(n for name in parts for n in pq.read_table(folder / name)["n"].to_pylist()) == [50, 51, 52, 53]
    assert "k=a/link.parquet" not in found
    assert (outside / "kept.parquet").read_bytes() == b"elsewhere"


def test_a_job_that_fails_overwrites_nothing(env: Any, tmp_path: Path) -> None:
    write(env, tmp_path)
    stream = env.from_arrow(TABLE).map(lambda row: (row.n // (row.n - 99),), Types.ROW_NAMED(["n"], [Types.LONG()]))
    stream.sink_to(FileSink.parquet(os.fspath(tmp_path), mode="overwrite"))
    with pytest.raises(JobExecutionError):
        env.execute()
    assert numbers(tmp_path) == list(range(100))


def test_error_refuses_a_folder_with_files_and_takes_an_empty_one(env: Any, tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_bytes(b"")
    write(env, tmp_path, mode="error")
    assert numbers(tmp_path) == list(range(100))
    with pytest.raises(JobGraphError, match=r"is not empty: part-.*mode='overwrite'"):
        write(env, tmp_path, mode="error")
    assert numbers(tmp_path) == list(range(100))


def test_removing_twice_is_removing_once_and_leaves_what_was_written_anew(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"old")
    replaced = ReplacedFiles(files_before(FileSystem(), os.fspath(tmp_path)))
    (tmp_path / "b").write_bytes(b"written anew")
    (tmp_path / "c").write_bytes(b"came since")
    for _ in range(2):
        FileCommitter(FileSystem()).commit([replaced])
        assert seen(tmp_path) == ["b", "c"]


# --- no rows ---


def test_no_rows_make_one_file_with_the_columns(env: Any, tmp_path: Path) -> None:
    write(env, tmp_path, TABLE.slice(0, 0))
    assert len(seen(tmp_path)) == 1
    assert pq.read_table(tmp_path).schema.equals(TABLE.schema)
    assert env.read_parquet(os.fspath(tmp_path)).to_arrow().num_rows == 0
    env.from_arrow(TABLE).filter(lit(False)).select("n", m=col("k")).sink_to(FileSink.csv(os.fspath(tmp_path / "csv")))
    env.from_arrow(TABLE).filter(lit(False)).sink_to(FileSink.json_lines(os.fspath(tmp_path / "json")))
    env.execute()
    [name] = seen(tmp_path / "csv")
    assert pc.read_csv(tmp_path / "csv" / name).column_names == ["n", "m"]
    [name] = seen(tmp_path / "json")
    assert (tmp_path / "json" / name).read_bytes() == b""


@pytest.mark.parametrize("kind", ["ipc", "orc"])
def test_no_rows_make_a_file_that_can_be_read(env: Any, tmp_path: Path, kind: str) -> None:
    env.from_arrow(TABLE).filter(lit(False)).sink_to(getattr(FileSink, kind)(os.fspath(tmp_path)))
    env.execute()
    assert len(seen(tmp_path)) == 1
    read = getattr(env, f"read_{kind}")(os.fspath(tmp_path)).to_arrow()
    assert (read.num_rows, read.column_names) == (0, TABLE.column_names)


def test_rows_make_no_file_without_rows(env: Any, tmp_path: Path) -> None:
    write(env, tmp_path, TABLE)
    assert all(pq.read_metadata(tmp_path / name).num_rows for name in seen(tmp_path))
    before = seen(tmp_path)
    write(env, tmp_path, TABLE.slice(0, 0))  # there is a file that has the columns
    assert seen(tmp_path) == before
    write(env, tmp_path, TABLE.slice(0, 0), mode="overwrite")
    [name] = seen(tmp_path)
    assert pq.read_metadata(tmp_path / name).num_rows == 0


def test_no_file_where_the_program_says_so_in_streaming_mode_and_for_folders(env: Any, tmp_path: Path) -> None:
    write(env, tmp_path, TABLE.slice(0, 0), empty_file=False)
    write(env, tmp_path, TABLE.slice(0, 0), partition_by="k")
    env.set_runtime_mode(RuntimeExecutionMode.STREAMING)
    write(env, tmp_path, TABLE.slice(0, 0))
    assert seen(tmp_path) == []


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_file_of_another_subtask_that_waits_makes_the_empty_one_needless(tmp_path: Path, epoch: int) -> None:
    """Subtasks of one sink are in pipelined regions of their own where nothing is exchanged: their epochs differ."""
    job = "0" * 32
    for name in (f".a.inprogress.{job}.op.1.0", f".b.inprogress.{job}.op.{epoch}.1"):
        (tmp_path / name).write_bytes(b"")
    staged = StagedFile(os.fspath(tmp_path / f".a.inprogress.{job}.op.1.0"), os.fspath(tmp_path / "a"), 0)
    mine = EmptyFile(staged, frozenset())
    FileCommitter(FileSystem()).commit([mine])
    assert seen(tmp_path) == [f".b.inprogress.{job}.op.{epoch}.1"]
    (tmp_path / f".b.inprogress.{job}.op.{epoch}.1").rename(tmp_path / f".a.inprogress.{job}.op.1.0")
    for _ in range(2):
        FileCommitter(FileSystem()).commit([mine])
        assert seen(tmp_path) == ["a"]
