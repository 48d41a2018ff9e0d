from __future__ import annotations

from pathlib import Path

import pytest
from pyarrow import fs

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.reading.listing import find_files, is_in_progress, natural_key, require_files
from shmflink.errors import JobGraphError

FILES = FileSystem()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.txt", "a.txt", "_SUCCESS", ".hidden", "sub/c.txt", "_temporary/d.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(root: Path, *paths: str) -> list[str]:
    return [str(Path(info.path).relative_to(root)) for info in find_files(FILES, [str(root / path) for path in paths])]


def test_directories_are_walked_in_order_without_hidden_names(tree: Path) -> None:
    assert names(tree, "") == ["a.txt", "b.txt", "sub/c.txt"]


def test_a_hidden_file_is_read_where_it_is_named(tree: Path) -> None:
    assert names(tree, "_SUCCESS", "a.txt") == ["_SUCCESS", "a.txt"]


def test_globs_and_each_file_once(tree: Path) -> None:
    assert names(tree, "*.txt", "a.txt", "s*") == ["a.txt", "b.txt", "sub/c.txt"]
    assert names(tree, "**/*.txt") == ["a.txt", "b.txt", "sub/c.txt"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for name in (
        "part-0",
        "_metadata",
        "_started_1",
        ".part-0.crc",
        "_temporary/0/part-0",
        "_delta_log/0.json",
        "day=1/part-1",
        "day=1/_temporary/part-1",
        "day=1/.hidden/part-1",
        "_day=2/part-2",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "*", "**", "**/*", "**/part-*", "[!x]*", "[_.dp]*", "?*"])
def test_wildcards_skip_hidden_names_at_every_level_as_a_folder_does(table: Path, pattern: str) -> None:
    assert names(table, pattern) == ["day=1/part-1", "part-0"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("_*", ["_day=2/part-2", "_delta_log/0.json", "_metadata", "_started_1", "_temporary/0/part-0"]),
        (".*", [".part-0.crc"]),
        ("_delta_log/*", ["_delta_log/0.json"]),
        ("*/_temporary/*", ["day=1/_temporary/part-1"]),
        ("**/.hidden/*", ["day=1/.hidden/part-1"]),
        ("_day=*", ["_day=2/part-2"]),
    ],
)
def test_a_pattern_reaches_hidden_names_that_it_spells(table: Path, pattern: str, found: list[str]) -> None:
    assert names(table, pattern) == found


def test_a_hidden_folder_as_the_base_of_a_pattern_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "_work" / "x").mkdir(parents=True)
    (tmp_path / "_work" / "x" / "a").touch()
    assert names(tmp_path, "_work/*", "_work") == ["_work/x/a"]


def test_a_name_that_exists_is_no_pattern(tmp_path: Path) -> None:
    for name in ("data [2024]/a.csv", "data [2024]/sub/b.csv", "data 2/c.csv", "what?/d", "[x]"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path, "data [2024]") == ["data [2024]/a.csv", "data [2024]/sub/b.csv"]
    assert names(tmp_path, "data [2024]/*.csv") == ["data [2024]/a.csv"]
    assert names(tmp_path, "data [13579]", "data [123]") == ["data 2/c.csv"]
    assert names(tmp_path, "what?", "[x]") == ["what?/d", "[x]"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("{b,a}.txt", ["a.txt", "b.txt"]),
        ("{a,nothing}.txt", ["a.txt"]),
        ("{a,sub/c}.txt", ["a.txt", "sub/c.txt"]),
        ("{sub,x}", ["sub/c.txt"]),
        ("{,sub/}*.txt", ["a.txt", "b.txt", "sub/c.txt"]),
        ("{,sub}/c.txt", ["sub/c.txt"]),
        ("{a,{b,x}}.{txt,csv}", ["a.txt", "b.txt"]),
        ("s{u,}b/*", ["sub/c.txt"]),
        ("**/{a,c}*", ["a.txt", "sub/c.txt"]),
        ("*.{csv,txt}", ["a.txt", "b.txt"]),
        ("{_,*}*", ["_SUCCESS", "_temporary/d.txt", "a.txt", "b.txt", "sub/c.txt"]),
        ("[ab].{txt,c[!s]v}", ["a.txt", "b.txt"]),
        ("{a}.txt", []),
        ("{a,b.txt", []),
        ("a,b}.txt", []),
    ],
)
def test_braces_stand_for_each_of_their_texts(tree: Path, pattern: str, found: list[str]) -> None:
    assert names(tree, pattern) == found
    inside = FileSystem(file_system=fs.SubTreeFileSystem(str(tree), fs.LocalFileSystem()))
    assert [info.path for info in find_files(inside, [pattern])] == found


def test_braces_of_a_name_that_exists_are_its_own(tmp_path: Path) -> None:
    for name in ("{a,b}/1", "a/2", "b/3", "{x}/4", "{a,b}.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path, "{a,b}") == ["{a,b}/1"]
    assert names(tmp_path, "{a,b}/*", "{a,b}.csv", "{x}/*") == ["{a,b}/1", "{a,b}.csv", "{x}/4"]
    assert names(tmp_path, "[{]a,b}/*", "{a,c,b}/*") == ["{a,b}/1", "a/2", "b/3"]


def test_numbers_in_names_are_in_their_order(tmp_path: Path) -> None:
    for name in ("t-10", "t-9", "2024-1-10/x", "2024-1-9/x", "t"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path, "") == ["2024-1-9/x", "2024-1-10/x", "t", "t-9", "t-10"]
    assert sorted(["a1b", "a/b", "a"], key=natural_key) == ["a", "a/b", "a1b"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nothing", "no such file or directory"),
        ("*.csv", "no visible file matches"),
        ("{x,y}.txt", r"no visible file matches .*`\{a,b}` are supported"),
        ("{a}.txt", "no such file or directory"),
        ("empty", "has no visible file"),
    ],
)
def test_a_path_without_a_file_is_an_error(tree: Path, path: str, reason: str) -> None:
    (tree / "empty").mkdir()
    (tree / "empty" / "_SUCCESS").touch()
    with pytest.raises(JobGraphError, match=reason):
        require_files(FILES, [str(tree / path)])


def test_names_of_files_that_are_being_written() -> None:
    assert [is_in_progress(name) for name in ("/a.tmp", "/a.csv._COPYING_", "/.part-0.inprogress.1", "/a.csv")] == [
        True,
        True,
        True,
        False,
    ]


def test_another_file_system_finds_the_same(tree: Path) -> None:
    (tree / "data [2024]").mkdir()
    (tree / "data [2024]" / "e.txt").touch()
    inside = FileSystem(file_system=fs.SubTreeFileSystem(str(tree), fs.LocalFileSystem()))
    for path in (
        "",
        "*.txt",
        "**/*.txt",
        "s*",
        "sub",
        "[ab].txt",
        "[!a].txt",
        "?.txt",
        "_SUCCESS",
        "_*",
        "data [2024]",
    ):
        assert [info.path.lstrip("/") for info in find_files(inside, [path])] == names(tree, path), path
