"""Data sets: the same every time, for any size, and complete or absent."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.json
import pytest

from perf.data import DATASETS, clean, ensure, warm

PARQUET = [name for name, one in DATASETS.items() if one.format == "parquet" and not one.links]


@pytest.mark.parametrize("name", PARQUET)
def test_rows_and_columns(tmp_path: Path, name: str) -> None:
    folder = ensure(name, tmp_path, 1.0, smoke=True)
    table = ds.dataset(folder, format="parquet").to_table()
    assert table.num_rows == DATASETS[name].smoke_rows
    assert table.num_columns == (200 if name == "wide" else 6)


def test_formats_have_the_same_rows(tmp_path: Path) -> None:
    csv, jsonl, parquet = (
        ensure(name, tmp_path, 1.0, smoke=True) for name in ("csv_100k", "jsonl_100k", "events_100k")
    )
    expected = ds.dataset(parquet).to_table()
    read = pyarrow.csv.ReadOptions(column_names=expected.schema.names)
    convert = pyarrow.csv.ConvertOptions(column_types=expected.schema)
    assert pyarrow.csv.read_csv(csv / "part-00000.csv", read, convert_options=convert).equals(expected.slice(0, 10_000))
    parse = pyarrow.json.ParseOptions(explicit_schema=expected.schema)
    assert pyarrow.json.read_json(jsonl / "part-00001.jsonl", parse_options=parse).equals(expected.slice(10_000))


def test_made_twice_it_is_the_same(tmp_path: Path) -> None:
    one, other = (ensure("text", tmp_path / name, 1.0, smoke=True) for name in ("one", "other"))
    assert [path.read_bytes() for path in sorted(one.iterdir())] == [
        path.read_bytes() for path in sorted(other.iterdir())
    ]
    lines = (one / "part-00000.txt").read_text().splitlines()
    assert {len(line.split(" ")) for line in lines} == {10}


def test_half_of_the_skewed_rows_have_one_key(tmp_path: Path) -> None:
    keys = ds.dataset(ensure("events_skew", tmp_path, 1.0, smoke=True)).to_table(columns=["key"])["key"]
    largest = max(one["counts"].as_py() for one in keys.value_counts())
    assert 0.45 < largest / len(keys) < 0.55


def test_links_take_no_room_and_clean_removes_all(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    linked = ensure("events_100m", cache, 1.0, smoke=True)
    single = ensure("events_100k", cache, 1.0, smoke=True)
    assert warm(linked) == 5 * warm(single)
    assert {path.stat().st_ino for path in linked.iterdir()} == {path.stat().st_ino for path in single.iterdir()}
    assert clean(cache) > 0
    assert not cache.exists()


def test_too_little_space_is_said_before(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="GB wanted for the data set events_1k"):
        ensure("events_1k", tmp_path, 1e6, smoke=False)
    assert list(tmp_path.iterdir()) == []
