from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from oracle.driver import Driver

from shmflink.connectors.file_system.formats.text.format import StreamFormat
from shmflink.connectors.file_system.reading.source import (
    FileEnumeratorProvider,
    FileSource,
    FileSplitAssignerProvider,
)
from shmflink.core.time_units import Duration
from shmflink.core.types.typeinfo import Types
from shmflink.errors import ConfigurationError, JobGraphError

LINES = StreamFormat.text_line_format()


def test_all_files_of_all_paths(driver: Driver, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(f"{name}1\n{name}2")
    builder = FileSource.for_record_stream_format(LINES, str(tmp_path / "[bc]"), str(tmp_path / "a"))
    files = pickle.loads(pickle.dumps(builder.process_static_file_set().build()))
    assert driver.rows(files) == ["b1", "b2", "c1", "c2", "a1", "a2"]
    assert files.produced_type == Types.STRING()


def test_files_that_are_not_to_be_cut(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 99 + "\n" * 3_000_000)
    builder = FileSource.for_record_stream_format(LINES, str(tmp_path))
    builder.set_split_assigner(FileSplitAssignerProvider.locality_aware_split_assigner())
    assert len(builder.build().create_enumerator(4).snapshot()) > 1
    builder.set_file_enumerator(FileEnumeratorProvider.default_non_splittable_file_enumerator())
    assert len(builder.build().create_enumerator(4).snapshot()) == 1


def test_an_enumerator_goes_on_from_its_snapshot(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text("1\n" * (1 << 19))
    files = FileSource.for_record_stream_format(LINES, str(tmp_path)).build()
    enumerator = files.create_enumerator(1)
    enumerator.next_split(0)
    again = files.create_enumerator(1, enumerator.snapshot())
    split = again.next_split(0)
    assert split is not None
    assert split.payload.ranges[0].path == str(tmp_path / "b")
    assert enumerator.progress == (1 << 20, 2 << 20)
    assert again.is_exhausted


def test_what_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(JobGraphError, match="no such file or directory"):
        FileSource.for_record_stream_format(LINES, str(tmp_path / "nothing")).build()
    with pytest.raises(JobGraphError, match="at least one path"):
        FileSource.for_record_stream_format(LINES)
    with pytest.raises(ConfigurationError, match="at least a millisecond"):
        FileSource.for_record_stream_format(LINES, str(tmp_path)).monitor_continuously(Duration.of_nanos(1))


READERS = ("parquet", "csv", "json_lines", "ipc", "orc", "text")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("path", ["", " ", ["", "a"]])
def test_no_path_is_the_current_directory_by_being_empty(reader: str, path: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"the path '\s*' is empty; name a file, a folder \('.' for this one\)"
    ):
        getattr(FileSource, reader)(path)
    with pytest.raises(ConfigurationError, match="is empty"):
        FileSource.for_record_stream_format(LINES, *([path] if isinstance(path, str) else path))


@pytest.mark.parametrize("path", [None, 5, b"/tmp", [None]])
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"a path must be a str or an os\.PathLike, not "):
        FileSource.parquet(path)


def test_paths_of_any_kind(driver: Driver, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    assert driver.rows(FileSource.for_record_stream_format(LINES, tmp_path / "a").build()) == ["a"]
    assert driver.rows(FileSource.text([tmp_path / "{c,b}", str(tmp_path / "a")])) == ["b", "c", "a"]


def test_an_empty_file_has_no_rows(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert driver.rows(FileSource.for_record_stream_format(LINES, str(tmp_path)).build(), 2) == []
