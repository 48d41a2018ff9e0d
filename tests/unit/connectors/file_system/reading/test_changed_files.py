"""Files that have changed since they were listed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.driver import Driver

from shmflink.connectors.base import Poll, Split
from shmflink.connectors.file_system.reading import files_cursor, record_cursor, splits
from shmflink.connectors.file_system.reading.source import FileSource
from shmflink.core.batch import Batch
from shmflink.errors import ConfigurationError, DataFormatError, ResourceError

LINES = [f"line {number:05}" for number in range(2000)]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_cursor, "BLOCK_BYTES", 2048)
    monkeypatch.setattr(files_cursor, "_ROWS_WANTED", 100)
    monkeypatch.setattr(files_cursor, "_ROWS_ALONE", 100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "in.txt"
    made.write_text("\n".join(LINES) + "\n")
    return made


@pytest.fixture
def reading(driver: Driver) -> Callable[..., tuple[list[Any], Split]]:
    """Reads some batches of a source; then the split as a checkpoint has it."""

    def read(source: FileSource, batches: int) -> tuple[list[Any], Split]:
        split = source.create_enumerator(1).next_split(0)
        assert split is not None
        return read_on(source, split, batches)

    def read_on(source: FileSource, split: Split, batches: int) -> tuple[list[Any], Split]:
        rows: list[Any] = []
        with closing(source.create_reader(driver.context())) as reader:
            reader.add_split(split)
            for _ in range(batches):
                answer = reader.poll()
                assert isinstance(answer, Batch)
                rows += answer.rows()
            return rows, next(iter(reader.snapshot()))

    return read


def later(path: Path) -> None:
    """As if it had been changed a minute later: two changes within a tick of the clock have one time."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 60_000_000_000))


def rest_of(driver: Driver, source: FileSource, split: Split) -> list[Any]:
    rows: list[Any] = driver.read_split(source, split)
    return rows


def test_an_unchanged_file_is_read_on_and_a_copy_of_it_too(driver: Driver, reading: Any, path: Path) -> None:
    source = FileSource.text(path)
    rows, split = reading(source, 3)
    assert 0 < len(rows) < len(LINES)
    assert rows + rest_of(driver, source, split) == LINES
    shutil.copy2(path, path.with_suffix(".copy"))
    os.replace(path.with_suffix(".copy"), path)  # as after a move to another disk: another inode, the same time
    assert rows + rest_of(driver, source, split) == LINES


def test_a_file_that_was_cut_short(driver: Driver, reading: Any, path: Path) -> None:
    """[S1] Truncated between the checkpoint and the restore."""
    source = FileSource.text(path)
    _, split = reading(source, 3)
    os.truncate(path, 100)
    with pytest.raises(DataFormatError, match=rf"{path}: the file was truncated \(22000 bytes of .*; 100 byt"):
        rest_of(driver, source, split)


def test_a_file_that_is_cut_short_while_it_is_read(driver: Driver, path: Path) -> None:
    """[S1] Its end is not taken for the end of the data."""
    source = FileSource.text(path)
    with closing(source.create_reader(driver.context())) as reader:
        split = source.create_enumerator(1).next_split(0)
        assert split is not None
        reader.add_split(split)
        reader.no_more_splits()
        assert isinstance(reader.poll(), Batch)
        os.truncate(path, 5000)
        with pytest.raises(DataFormatError, match=r"the file was truncated .* while it was read"):
            list(iter(reader.poll, Poll.END))


def test_a_log_that_was_rotated_by_copying(driver: Driver, reading: Any, path: Path) -> None:
    """[S2] copytruncate: the same inode begins anew and has grown beyond the place reached."""
    source = FileSource.text(path)
    _, split = reading(source, 3)
    shutil.copy(path, path.with_suffix(".1"))
    os.truncate(path, 0)
    path.write_text("other\n" * 1000)
    later(path)
    with pytest.raises(DataFormatError, match="the file was truncated"):
        rest_of(driver, source, split)


@pytest.mark.parametrize("length", [10, 2000, 5000])
def test_a_file_that_another_took_the_place_of(driver: Driver, reading: Any, path: Path, length: int) -> None:
    """[S2, S3] Rotated by renaming, or replaced by a file of the same name: shorter, as long, longer."""
    source = FileSource.text(path)
    _, split = reading(source, 3)
    new = path.with_suffix(".new")
    new.write_text("\n".join(LINES)[:length] if length != 2000 else "\n".join(reversed(LINES)) + "\n")
    os.replace(new, path)
    later(path)
    with pytest.raises(DataFormatError, match=r"another file has replaced it .* inode \d+; .* Restore the file"):
        rest_of(driver, source, split)


def test_a_file_that_was_written_to_in_place(driver: Driver, reading: Any, path: Path) -> None:
    source = FileSource.text(path)
    _, split = reading(source, 3)
    with path.open("r+") as out:
        out.write("LINE")
    later(path)
    with pytest.raises(DataFormatError, match="the file was modified"):
        rest_of(driver, source, split)


def test_what_was_appended_to_a_text_is_not_read_and_no_error(driver: Driver, reading: Any, path: Path) -> None:
    source = FileSource.text(path)
    rows, split = reading(source, 3)
    with path.open("a") as out:
        out.write("more\n")
    later(path)
    assert rows + rest_of(driver, source, split) == LINES


def test_a_file_with_a_footer_cannot_grow(driver: Driver, reading: Any, tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": range(1000)}), path, row_group_size=100)
    source = FileSource.parquet(path, batch_rows=50)
    rows, split = reading(source, 3)
    pq.write_table(pa.table({"n": range(2000)}), path, row_group_size=100)
    later(path)
    with pytest.raises(DataFormatError, match="the file was modified"):
        rest_of(driver, source, split)
    assert len(rows) == 150


def test_a_file_that_was_not_begun_is_read_as_it_is_now(driver: Driver, path: Path) -> None:
    source = FileSource.text(path)
    split = source.create_enumerator(1).next_split(0)
    assert split is not None
    new = path.with_suffix(".new")
    new.write_text("all\nnew\n")
    os.replace(new, path)
    later(path)
    assert rest_of(driver, source, split) == ["all", "new"]


def test_a_part_of_a_file_belongs_to_the_file_that_was_cut(
    driver: Driver, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[S3] The other parts may have been read before it changed."""
    monkeypatch.setattr(splits, "_SPLIT_BYTES_MIN", 5000)
    source = FileSource.text(path)
    _, second, *_ = source.create_enumerator(2).snapshot()
    os.replace(shutil.copy(path, path.with_suffix(".new")), path)
    later(path)
    with pytest.raises(DataFormatError, match="another file has replaced it"):
        rest_of(driver, source, second)


def test_a_file_that_is_gone(driver: Driver, reading: Any, path: Path) -> None:
    source = FileSource.text(path)
    _, split = reading(source, 3)
    path.unlink()
    with pytest.raises(ResourceError, match=r"the file is gone; it had 22000 bytes .* part of it has been read"):
        rest_of(driver, source, split)


def test_changes_that_the_program_wants_ignored(driver: Driver, reading: Any, path: Path) -> None:
    source = FileSource.text(path, on_change="ignore")
    rows, split = reading(source, 3)
    path.write_text("\n".join(LINES).upper() + "\n")
    later(path)
    assert rows + rest_of(driver, source, split) == [
        *LINES[: len(rows)],
        *(line.upper() for line in LINES[len(rows) :]),
    ]
    with pytest.raises(ConfigurationError, match="on_change: 'maybe' is not one of fail, ignore"):
        FileSource.text(path, on_change="maybe")
