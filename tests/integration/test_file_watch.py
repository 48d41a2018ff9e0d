"""A watched folder: files appear, are read once, and the job continues until it is canceled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shmflink.client.embedded_cluster import EmbeddedCluster
from shmflink.client.executor import use_executor
from shmflink.common.time import Duration
from shmflink.common.watermark_strategy import WatermarkStrategy
from shmflink.connectors.file_system.formats.text.format import StreamFormat
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.datastream import StreamExecutionEnvironment
from shmflink.errors import JobExecutionError

WAIT_S = 60


@pytest.fixture
def env() -> Iterator[StreamExecutionEnvironment]:
    with EmbeddedCluster({"cluster.slots": "2"}) as cluster:
        cluster.start()
        assert cluster.wait_started(WAIT_S)
        with use_executor(cluster):
            made = StreamExecutionEnvironment.get_execution_environment()
            made.set_parallelism(2)
            yield made


def appear(path: Path, write: Any) -> None:
    """A file that is there whole or not at all."""
    hidden = path.with_name(f".{path.name}")
    write(hidden)
    hidden.rename(path)


def test_lines_of_files_as_they_appear(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    appear(tmp_path / "a", lambda path: path.write_text("a1\na2\n"))
    source = (
        FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(tmp_path))
        .monitor_continuously(Duration.of_millis(10))
        .build()
    )
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "folder").map(lambda line: line.upper())
    with stream.execute_and_collect() as results:
        assert sorted(next(results) for _ in range(2)) == ["A1", "A2"]
        (tmp_path / "b.tmp").write_text("never\n")
        with open(tmp_path / "a", "a") as changed:
            changed.write("not read again\n")
        for number in range(3):
            text = f"c{number}\n"
            appear(tmp_path / f"c{number}", lambda path, text=text: path.write_text(text))
            assert next(results) == f"C{number}"


def test_columns_of_a_folder_that_is_empty_at_first(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.int64())])
    source = FileSource.parquet(tmp_path, schema=schema, monitor_interval=0.01, metadata=["file_name"])
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "folder")
    with stream.execute_and_collect() as results:
        for name in ("x", "y"):
            (tmp_path / name).mkdir()
            appear(tmp_path / name / "f.parquet", lambda path: pq.write_table(pa.table({"n": [1, 2]}), path))
            assert [(row.n, row.file_name) for row in (next(results), next(results))] == [
                (1, "f.parquet"),
                (2, "f.parquet"),
            ]


def test_a_file_that_cannot_be_read_ends_the_job(env: StreamExecutionEnvironment, tmp_path: Path) -> None:
    schema = pa.schema([("n", pa.int64())])
    source = FileSource.parquet(tmp_path, schema=schema, monitor_interval=0.01)
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "folder")
    appear(tmp_path / "bad.parquet", lambda path: path.write_bytes(os.urandom(100)))
    with (
        stream.execute_and_collect() as results,
        pytest.raises(JobExecutionError, match=r"bad\.parquet: not a readable"),
    ):
        next(results)
