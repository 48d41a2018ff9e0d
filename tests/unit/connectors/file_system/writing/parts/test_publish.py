from __future__ import annotations

import os
from pathlib import Path

import pytest

from shmflink.connectors.file_system.writing.parts.part_file import FinishedPart, PartFile
from shmflink.connectors.file_system.writing.parts.publish import in_threads, publish
from shmflink.errors import ResourceError


def part(folder: Path, path: str) -> FinishedPart:
    file = PartFile(str(folder), os.path.basename(path))
    file.file.write(path.encode())
    return FinishedPart(file, str(folder / path), 1)


def test_many_files_in_new_folders(tmp_path: Path) -> None:
    paths = [f"k={number % 3}/j={number % 2}/part-{number}" for number in range(20)]
    publish([part(tmp_path, path) for path in paths])
    assert {path: (tmp_path / path).read_text() for path in paths} == {path: path for path in paths}


def test_nothing_to_publish() -> None:
    publish([])


def test_after_an_error_the_rest_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("older")
    parts = [part(tmp_path, name) for name in ("a", "b", "c")]
    for waiting in parts:
        waiting.park()
    with pytest.raises(ResourceError, match="b: cannot be written: File exists"):
        publish(parts)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "k=1").touch()
    with pytest.raises(ResourceError, match="k=1/j=2: cannot be written"):
        publish([part(tmp_path, "k=1/j=2/part")])
    assert os.listdir(tmp_path) == ["k=1"]


def test_a_disk_that_fails_to_keep_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [part(tmp_path, "a"), part(tmp_path, "b")]

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ResourceError, match="a: cannot be written: Input/output error"):
        publish(parts)
    assert os.listdir(tmp_path) == []


def test_results_come_in_order_and_the_first_error_is_raised() -> None:
    assert in_threads(lambda n: n * n, range(100)) == [n * n for n in range(100)]
    assert in_threads(str, []) == []

    def fail(n: int) -> int:
        if n % 40 == 7:
            raise ResourceError(f"item {n}")
        return n

    with pytest.raises(ResourceError, match="item"):
        in_threads(fail, range(100))
