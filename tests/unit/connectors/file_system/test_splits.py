from __future__ import annotations

from pathlib import Path

import pytest

from shmflink.connectors.file_system.splits import cut_files, list_files, local_path, require_files
from shmflink.errors import ConfigurationError, JobGraphError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "_SUCCESS", ".hidden", "sub/c.txt", "_temporary/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(root: Path, *paths: str) -> list[str]:
    return [str(Path(path).relative_to(root)) for path, _ in list_files([str(root / path) for path in paths])]


def test_directories_are_walked_in_order_without_hidden_names(tree: Path) -> None:
    assert names(tree, "") == ["a.txt", "b.txt", "sub/c.txt"]


def test_a_hidden_file_is_read_where_it_is_named(tree: Path) -> None:
    assert names(tree, "_SUCCESS", "a.txt") == ["_SUCCESS", "a.txt"]


def test_globs_and_each_file_once(tree: Path) -> None:
    assert names(tree, "*.txt", "a.txt", "s*") == ["a.txt", "b.txt", "sub/c.txt"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nothing", "no such file or directory"),
        ("*.csv", "no file matches"),
        ("empty", "holds no visible file"),
    ],
)
def test_a_path_without_a_file_is_an_error(tree: Path, path: str, reason: str) -> None:
    (tree / "empty").mkdir()
    (tree / "empty" / "_SUCCESS").touch()
    with pytest.raises(JobGraphError, match=reason):
        require_files([str(tree / path)])


def test_paths_are_made_absolute_where_the_program_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert local_path("a b.txt") == str(tmp_path / "a b.txt")
    assert local_path("file:///data/a%20b.txt") == "/data/a b.txt"
    with pytest.raises(ConfigurationError, match="`s3:` is not supported"):
        local_path("s3://bucket/key")


def test_large_files_are_cut_and_compressed_ones_are_not() -> None:
    files = [("/a", 5 << 20), ("/b.gz", 50 << 20), ("/empty", 0)]
    splits = list(cut_files(files, 2, is_splittable=True))
    ranges = [(split.payload.path, split.payload.offset, split.payload.length) for split in splits]
    assert ranges == [("/a", 0, 5 << 20), ("/b.gz", 0, 50 << 20)]
    ranges = [split.payload.length for split in cut_files(files[:1], 2, is_splittable=True)]
    assert ranges == [1 << 20] * 5
    assert [split.payload.length for split in cut_files(files[:1], 2, is_splittable=False)] == [5 << 20]


def test_split_ids_are_unique_and_in_path_order() -> None:
    splits = list(cut_files([("/a", 3 << 20), ("/b", 3 << 20)], 4, is_splittable=True))
    ids = [split.split_id for split in splits]
    assert ids == sorted(set(ids))
