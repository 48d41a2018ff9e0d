"""Equal rows have equal checksums in any order and storage; different rows do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from perf.checksum import Checksum, checksum_of, difference

SCHEMA = pa.schema(
    [("key", pa.int64()), ("ts", pa.timestamp("ms")), ("name", pa.string()), ("total", pa.float64())],
)
ROWS = pa.table(
    {
        "key": [3, 1, 2, 2],
        "ts": pa.array([0, 10, 20, 30], pa.timestamp("ms")),
        "name": ["ab", "ba", "", "äöü"],
        "total": [0.1, 0.2, 0.3, 1e6],
    },
    schema=SCHEMA,
)


def written(folder: Path, *tables: pa.Table) -> Path:
    folder.mkdir()
    for number, table in enumerate(tables):
        pq.write_table(table, folder / f"{number}.parquet")
    return folder


def what_differs(tmp_path: Path, other: pa.Table) -> str | None:
    expected = checksum_of(written(tmp_path / "expected", ROWS), SCHEMA)
    return difference(expected, checksum_of(written(tmp_path / "other", other), SCHEMA))


def test_order_and_files_do_not_matter(tmp_path: Path) -> None:
    expected = checksum_of(written(tmp_path / "one", ROWS), SCHEMA)
    other = written(tmp_path / "other", ROWS.slice(2), ROWS.slice(0, 2))
    assert difference(expected, checksum_of(other, SCHEMA)) is None


def test_column_order_and_widths_do_not_matter(tmp_path: Path) -> None:
    wide = ROWS.set_column(1, "ts", ROWS["ts"].cast(pa.timestamp("us"))).select(["total", "name", "ts", "key"])
    assert what_differs(tmp_path, wide) is None


def test_csv_is_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "csv"
    folder.mkdir()
    pa.csv.write_csv(ROWS, folder / "part-0", pa.csv.WriteOptions(include_header=False))
    (folder / "empty").touch()
    (folder / "_SUCCESS").write_text("not rows")
    expected = checksum_of(written(tmp_path / "expected", ROWS), SCHEMA)
    assert difference(expected, checksum_of(folder, SCHEMA)) is None


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("key", [3, 1, 2, 4]),
        ("key", [1, 3, 2, 2]),  # the same values in other rows
        ("key", [3, 1, 2, None]),
        ("name", ["ba", "ab", "", "äöü"]),
        ("name", ["ab", "ba", "\x00", "äöü"]),
        ("name", ["ab", "ba", None, "äöü"]),
        ("total", [0.2, 0.1, 0.3, 1e6]),
        ("total", [0.1, 0.2, 0.3, 1e6 + 0.1]),
    ],
)
def test_other_rows_are_told(tmp_path: Path, column: str, values: list[object]) -> None:
    index = SCHEMA.get_field_index(column)
    other = ROWS.set_column(index, SCHEMA.field(index), pa.array(values, SCHEMA.field(index).type))
    assert what_differs(tmp_path, other) is not None


def test_a_missing_row_is_told(tmp_path: Path) -> None:
    assert what_differs(tmp_path, ROWS.slice(1)) == "3 rows instead of 4"


def test_sums_in_another_order_are_equal(tmp_path: Path) -> None:
    nearly = ROWS.set_column(3, "total", pa.array([0.1 + 1e-12, 0.2, 0.3, 1e6]))
    assert what_differs(tmp_path, nearly) is None


def test_structs_are_hashed_field_by_field(tmp_path: Path) -> None:
    kind = pa.struct([("city", pa.string()), ("at", pa.struct([("x", pa.float64())]))])
    schema = pa.schema([("place", kind)])

    def of(name: str, *places: dict[str, Any] | None) -> Checksum:
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"place": pa.array(places, kind)}), tmp_path / name / "rows.parquet")
        return checksum_of(tmp_path / name, schema)

    expected = of("one", {"city": "a", "at": {"x": 0.5}}, None)
    assert difference(expected, of("order", None, {"city": "a", "at": {"x": 0.5}})) is None
    for name, place in (("city", {"city": "b", "at": {"x": 0.5}}), ("x", {"city": "a", "at": {"x": 0.25}})):
        assert difference(expected, of(name, place, None)) is not None


def test_decimals_and_lists_are_hashed(tmp_path: Path) -> None:
    schema = pa.schema([("price", pa.decimal128(12, 2)), ("tags", pa.list_(pa.string()))])

    def of(name: str, prices: list[str], tags: list[list[str] | None]) -> Checksum:
        (tmp_path / name).mkdir()
        columns = [pa.array(prices).cast(schema.field(0).type), pa.array(tags, schema.field(1).type)]
        pq.write_table(pa.table(columns, schema=schema), tmp_path / name / "rows.parquet")
        return checksum_of(tmp_path / name, schema)

    expected = of("one", ["1.50", "2.25"], [["a", "b"], None])
    assert difference(expected, of("order", ["2.25", "1.50"], [None, ["a", "b"]])) is None
    for name, prices, tags in (
        ("price", ["1.51", "2.25"], [["a", "b"], None]),
        ("order of a list", ["1.50", "2.25"], [["b", "a"], None]),
        ("empty", ["1.50", "2.25"], [["a", "b"], []]),
        ("moved", ["1.50", "2.25"], [["a"], ["b"]]),
    ):
        assert difference(expected, of(name, prices, tags)) is not None
