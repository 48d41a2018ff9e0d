from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from oracle.driver import Driver
from pyarrow import fs as arrow_fs

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.writing.parts.part_file import FinishedPart
from shmflink.connectors.file_system.writing.parts.publish import publish
from shmflink.connectors.file_system.writing.parts.spooled_part import SpooledPart
from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.core.batch import Batch
from shmflink.errors import ResourceError


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert os.listdir(folder) == []


@pytest.fixture
def remote(tmp_path: Path) -> arrow_fs.FileSystem:
    """A file system that is given to the sink: its paths are not this host's."""
    (tmp_path / "remote").mkdir()
    return arrow_fs.SubTreeFileSystem(str(tmp_path / "remote"), arrow_fs.LocalFileSystem())


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_file_appears_whole_where_it_is_uploaded(tmp_path: Path, remote: arrow_fs.FileSystem) -> None:
    files = FileSystem(file_system=remote)
    part = SpooledPart(files, "part-0")
    part.file.write(b"content")
    assert part.size_bytes == 7
    part.park()
    assert files_below(tmp_path / "remote") == []
    publish([FinishedPart(part, "out/k=1/part-0", 1)])
    assert (tmp_path / "remote" / "out" / "k=1" / "part-0").read_bytes() == b"content"
    assert files_below(tmp_path / "remote") == ["out/k=1/part-0"]
    again = SpooledPart(files, "part-0")
    with pytest.raises(ResourceError, match="part-0: cannot be written: File exists"):
        publish([FinishedPart(again, "out/k=1/part-0", 1)])


def test_a_sink_that_writes_elsewhere(driver: Driver, tmp_path: Path, remote: arrow_fs.FileSystem) -> None:
    sink = FileSink.csv("out", partition_by="k", file_system=remote, rolling=RollingPolicy.limits(part_rows=1))
    writer = driver.writer(sink)
    driver.write(writer, Batch.of_columns(pa.record_batch({"k": ["a", "b", "a"], "n": [1, 2, 3]})))
    driver.finish(writer)
    paths = files_below(tmp_path / "remote")
    assert [os.path.dirname(path) for path in paths] == ["out/k=a", "out/k=a", "out/k=b"]
    assert sorted((tmp_path / "remote" / path).read_text() for path in paths) == ["n\n1\n", "n\n2\n", "n\n3\n"]
    assert not (tmp_path / "out").exists()


def test_a_job_that_fails_uploads_nothing(driver: Driver, tmp_path: Path, remote: arrow_fs.FileSystem) -> None:
    writer = driver.writer(FileSink.parquet("out", file_system=remote))
    driver.write(writer, Batch.of_columns(pa.record_batch({"n": [1]})))
    driver.close(writer)
    assert files_below(tmp_path / "remote") == []
