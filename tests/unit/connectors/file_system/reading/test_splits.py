from __future__ import annotations

from pathlib import Path

import pytest

from shmflink.connectors.file_system.file_systems import FileInfo
from shmflink.connectors.file_system.reading.splits import FileRanges, cut_files, local_path
from shmflink.errors import ConfigurationError

MIB = 1 << 20


def cut(sizes: dict[str, int], parallelism: int = 2, whole: str = "") -> list[list[tuple[str, int, int]]]:
    files = [FileInfo(path, size) for path, size in sizes.items()]
    splits = cut_files(files, parallelism, lambda path: path != whole)
    assert all(isinstance(split.payload, FileRanges) for split in splits)
    splits = cut_files(files, parallelism, lambda path: path != whole)
    return [[(part.path, part.offset, part.length) for part in split.payload.ranges] for split in splits]


def test_paths_are_made_absolute_where_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_path("a b.txt") == str(tmp_path / "a b.txt")
    assert local_path("file:///data/a%20b.txt") == "/data/a b.txt"
    with pytest.raises(ConfigurationError, match="`s3:` is not supported"):
        local_path("s3://bucket/key")


def test_large_files_are_cut_and_others_are_not() -> None:
    assert cut({"/a": 5 * MIB, "/b.gz": 50 * MIB, "/empty": 0}, whole="/b.gz") == [
        [("/a", 0, 5 * MIB)],
        [("/b.gz", 0, 50 * MIB)],
    ]
    assert [ranges[0][2] for ranges in cut({"/a": 5 * MIB})] == [MIB] * 5
    assert cut({"/a": 5 * MIB}, whole="/a") == [[("/a", 0, 5 * MIB)]]


def test_small_files_share_splits_in_their_order() -> None:
    splits = cut({f"/{index:05}": 1000 for index in range(10_000)}, parallelism=2)
    assert 8 <= len(splits) <= 20
    assert [part[0] for split in splits for part in split] == [f"/{index:05}" for index in range(10_000)]


def test_a_large_file_stands_alone_between_small_ones() -> None:
    names = [[part[0] for part in split] for split in cut({"/a": 10, "/b": 10, "/c": 4 * MIB, "/d": 10}, whole="/c")]
    assert names == [["/a", "/b"], ["/c"], ["/d"]]


def test_sizes_sum_up_and_ids_are_unique_and_in_path_order() -> None:
    files = [FileInfo("/a", 3 * MIB), FileInfo("/b", 3 * MIB), FileInfo("/c", 5)]
    splits = list(cut_files(files, 4, lambda path: True, first_number=7))
    ids = [split.split_id for split in splits]
    assert ids == sorted(set(ids))
    assert ids[0] == "00000007"
    assert sum(split.size for split in splits) == 6 * MIB + 5
