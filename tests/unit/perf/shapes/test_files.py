"""The files of shapes: the documented rows, in the documented form, the same each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from perf.shapes.files import QUICK_ROWS, ensure, missing_writer, rows_at
from perf.shapes.rows import SHAPES, Written

INSTALLED = [shape for shape in SHAPES.values() if missing_writer(shape) is None]


def read(name: str, folder: Path) -> pa.Table:
    return ds.dataset(ensure(SHAPES[name], folder, 1.0, quick=True), format="parquet").to_table()


@pytest.mark.parametrize("shape", INSTALLED, ids=lambda shape: shape.name)
def test_rows_and_columns(tmp_path: Path, shape: object) -> None:
    table = read(shape.name, tmp_path)  # type: ignore[attr-defined]
    columns = shape.columns + (2 if shape.is_nested else 0)  # type: ignore[attr-defined]
    assert (table.num_rows, table.num_columns) == (QUICK_ROWS, columns)
    assert 2 <= pc.count_distinct(table["key"]).as_py() <= QUICK_ROWS / 4


def test_what_shapes_are_about(tmp_path: Path) -> None:
    assert 0.94 < read("nulls_95", tmp_path)["value"].null_count / QUICK_ROWS < 0.96
    assert 0.04 < read("nulls_5", tmp_path)["text"].null_count / QUICK_ROWS < 0.06
    assert pc.count_distinct(read("few_texts", tmp_path)["text"]).as_py() == 8
    assert pc.count_distinct(read("unique_texts", tmp_path)["text"]).as_py() == QUICK_ROWS
    assert set(pc.utf8_length(read("long_texts", tmp_path)["text"]).to_pylist()) == {200}
    assert read("decimals", tmp_path)["value"].type == pa.decimal128(12, 2)
    assert read("string_keys", tmp_path)["key"].type == pa.string()
    keys = read("skew", tmp_path)["key"]
    assert 0.5 < max(one["counts"].as_py() for one in keys.value_counts()) / QUICK_ROWS < 0.6
    places = read("nested", tmp_path)["place"].type
    assert [field.name for field in places] == ["city", "at"]


@pytest.mark.parametrize("pattern", ["few_texts", "plain", "long_unique", "nulls_95"])
def test_some_texts_match_and_some_do_not(tmp_path: Path, pattern: str) -> None:
    matches = pc.sum(pc.match_like(read(pattern, tmp_path)["text"], "%ab%")).as_py()
    assert 0 < matches < QUICK_ROWS / 2


def test_event_time_is_ordered_within_half_a_second_or_random(tmp_path: Path) -> None:
    ordered, random = (read(name, tmp_path)["ts"].cast(pa.int64()).to_numpy() for name in ("plain", "time_random"))
    assert (ordered[1:] - ordered[:-1]).min() > -500
    assert (random[1:] - random[:-1]).min() < -30_000


def test_pages_groups_and_types_are_as_the_settings_say(tmp_path: Path) -> None:
    def first(name: str) -> pq.FileMetaData:
        folder = ensure(SHAPES[name], tmp_path, 1.0, quick=True)
        return pq.read_metadata(folder / "part-00000.parquet")

    assert first("small_groups").row_group(0).num_rows == 10_000
    assert first("huge_groups").num_row_groups == 1
    column = first("v2_zstd").row_group(0).column(4)
    assert (column.compression, column.has_dictionary_page) == ("ZSTD", False)
    assert first("by_spark").row_group(0).column(1).physical_type == "INT96"


def test_pieces_end_where_row_groups_end(tmp_path: Path) -> None:
    shape = replace(SHAPES["wide_500"], rows=150_000, written=Written(group_rows=5_000, files=1))
    metadata = pq.read_metadata(ensure(shape, tmp_path, 1.0, quick=False) / "part-00000.parquet")
    assert {metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)} == {5_000}


def test_made_twice_it_is_the_same(tmp_path: Path) -> None:
    one, other = (ensure(SHAPES["nested"], tmp_path / name, 1.0, quick=True) for name in ("one", "other"))
    assert [path.read_bytes() for path in sorted(one.iterdir())] == [
        path.read_bytes() for path in sorted(other.iterdir())
    ]


def test_the_scale_multiplies_rows() -> None:
    assert rows_at(SHAPES["wide_306"], 2.0, quick=False) == 2_000_000
    assert rows_at(SHAPES["wide_306"], 2.0, quick=True) == QUICK_ROWS
