"""The core's Parquet reader: which files it supports, and that it reads them like pyarrow."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shmflink import _core
from shmflink.core.plain_columns import plain_batch

ROWS = 3000
NUMBERS = pa.table({"n": range(ROWS), "s": [f"text {n % 7}" for n in range(ROWS)], "x": [n / 4 for n in range(ROWS)]})

TYPES: list[tuple[pa.DataType, Any, Any]] = [
    (pa.bool_(), False, True),
    (pa.int8(), -1, 7),
    (pa.uint16(), 0, 65_535),
    (pa.int32(), -5, 5),
    (pa.uint64(), 0, 2**64 - 1),
    (pa.float32(), -0.5, 1.25),
    (pa.float64(), 0.1, 1e300),
    (pa.string(), "", "zaß"),
    (pa.binary(), b"", b"\0\xff"),
    (pa.date32(), dt.date(1, 1, 1), dt.date(2024, 2, 29)),
    (pa.timestamp("ms"), dt.datetime(1970, 1, 1), dt.datetime(2024, 2, 29, 1, 2, 3)),
    (pa.timestamp("us", "UTC"), dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 2, 29, tzinfo=dt.UTC)),
    (pa.timestamp("ns"), dt.datetime(1970, 1, 1), dt.datetime(2024, 2, 29, 1, 2, 3)),
    (pa.time64("us"), dt.time(0), dt.time(23, 59, 59, 1)),
    (pa.decimal128(9, 2), decimal.Decimal("-1.50"), decimal.Decimal("9999999.99")),
    (pa.decimal128(30, 5), decimal.Decimal("-1.50000"), decimal.Decimal(1)),
]


def opened(path: Path, schema: pa.Schema, **options: Any) -> _core.ParquetRange | None:
    reader = _core.ParquetReader(schema, has_bounds=options.pop("has_bounds", False))
    return reader.open(str(path), options.get("offset", 0), options.get("length", path.stat().st_size))


def read(found: _core.ParquetRange | None, names: list[str], batch_rows: int = 1000) -> pa.Table:
    assert found is not None
    columns = found.read(names, [group[0] for group in found.groups], batch_rows)
    left = sum(group[3] for group in found.groups)
    batches = [columns.take(min(batch_rows, left - at)) for at in range(0, left, batch_rows)]
    return pa.Table.from_batches(batches)


@pytest.mark.parametrize(("kind", "low", "high"), TYPES, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("uses_dictionary", [True, False])
def test_values_and_bounds_of_a_type(
    tmp_path: Path, kind: pa.DataType, low: Any, high: Any, uses_dictionary: bool
) -> None:
    path = tmp_path / "f.parquet"
    written = pa.table({"c": pa.array([high, None, low, high], kind)})
    pq.write_table(written, path, use_dictionary=uses_dictionary)
    found = opened(path, written.schema, has_bounds=True)
    assert read(found, ["c"]).equals(written)
    assert found is not None
    bounds = found.bounds("c")
    assert bounds is not None
    assert [values.cast(values.type).to_pylist() for values in bounds] == [
        pa.array([low], kind).to_pylist(),
        pa.array([high], kind).to_pylist(),
        [1],
    ]


def test_columns_by_name_in_the_order_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(NUMBERS, path, row_group_size=1300)
    found = opened(path, NUMBERS.select(["x", "n"]).schema)
    assert read(found, ["x", "n"]).equals(NUMBERS.select(["x", "n"]))
    assert read(found, ["n"]).equals(NUMBERS.select(["n"]))
    assert found is not None
    assert [group[0] for group in found.groups] == [0, 1, 2]
    assert [group[2:] for group in found.groups] == [(0, 1300), (1300, 1300), (2600, 400)]
    columns = found.read(["n"], [0, 2], 700)
    assert [columns.take(rows).num_rows for rows in (700, 900, 100)] == [700, 900, 100]
    with pytest.raises(ValueError, match="the column has fewer rows than the footer states"):
        columns.take(1)


def test_row_groups_belong_to_the_range_in_which_they_begin(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(NUMBERS, path, row_group_size=100)
    size = path.stat().st_size
    numbers: list[int] = []
    for offset in range(0, size, 3001):
        found = opened(path, NUMBERS.schema, offset=offset, length=3001)
        assert found is not None
        assert all(offset <= start < offset + 3001 for _, start, _, _ in found.groups)
        numbers += [group[0] for group in found.groups]
    assert numbers == list(range(30))


def test_files_that_are_read_where_they_are_needed(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    large = pa.concat_tables([NUMBERS] * 60)
    pq.write_table(large, path, use_dictionary=False, compression="none", data_page_size=4096)
    assert path.stat().st_size > 1 << 20
    assert read(opened(path, large.schema), large.schema.names, 4096).equals(large)


@pytest.mark.parametrize(
    ("options", "schema"),
    [
        ({"compression": "zstd"}, NUMBERS.schema),
        ({}, pa.schema([("n", pa.int32())])),
        ({}, pa.schema([("lacking", pa.int64())])),
        ({}, pa.schema([("s", pa.large_string())])),
    ],
    ids=["codec", "type", "missing", "large"],
)
def test_what_is_left_to_others(tmp_path: Path, options: dict[str, Any], schema: pa.Schema) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(NUMBERS, path, **options)
    assert opened(path, schema) is None


def test_nested_columns_are_left_to_others_flat_ones_beside_them_not(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    table = pa.table({"n": [1, 2], "l": [[1], []], "o": [{"n": 5}, None]})
    pq.write_table(table, path)
    assert opened(path, table.schema) is None
    assert read(opened(path, table.select(["n"]).schema), ["n"]).equals(table.select(["n"]))


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(NUMBERS, path)
    whole = path.read_bytes()
    for spoilt in (b"", b"PAR1", whole[:-1], whole[:-9] + b"\xff" + whole[-8:], b"x" * 1000):
        path.write_bytes(spoilt)
        assert opened(path, NUMBERS.schema) is None
    assert _core.ParquetReader(NUMBERS.schema, has_bounds=False).open(str(tmp_path / "none"), 0, 10) is None


def test_corrupt_pages_are_an_error_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(NUMBERS, path)
    whole = path.read_bytes()
    errors = 0
    for at in range(4, 2000, 97):
        path.write_bytes(whole[:at] + bytes(byte ^ 0x5A for byte in whole[at : at + 16]) + whole[at + 16 :])
        try:
            read(opened(path, NUMBERS.schema), NUMBERS.schema.names)
        except ValueError:
            errors += 1
    assert errors > 3


def test_a_file_that_changed_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    reader = _core.ParquetReader(NUMBERS.schema, has_bounds=False)
    for rows in (NUMBERS, NUMBERS.slice(0, 10)):
        pq.write_table(rows, path)
        assert read(reader.open(str(path), 0, path.stat().st_size), NUMBERS.schema.names).equals(rows)


def test_bounds_of_many_files_are_those_of_the_wanted_columns(tmp_path: Path) -> None:
    reader = _core.ParquetReader(NUMBERS.select(["x"]).schema, has_bounds=True)
    for number in range(6):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(NUMBERS.slice(number * 10, 10), path)
        found = reader.open(str(path), 0, path.stat().st_size)
        assert found is not None
        bounds = found.bounds("x")
        assert bounds is not None
        assert bounds[0].to_pylist() == [number * 10 / 4]
        with pytest.raises(KeyError, match="n"):
            found.bounds("n")


def test_rows_by_a_mask() -> None:
    rows = pa.record_batch({"a": [1, 2, 3], "d": pa.array(["x", "y", "x"]).dictionary_encode(), "l": [[1], None, []]})
    kept = _core.keep_rows(rows, pa.array([True, None, True]))
    assert kept.equals(rows.take(pa.array([0, 2])))
    assert kept.schema.equals(rows.schema)
    with pytest.raises(ValueError, match="a mask of 1 for 3 rows"):
        _core.keep_rows(rows, pa.array([True]))
    with pytest.raises(TypeError, match="booleans"):
        _core.keep_rows(rows, pa.array([1, 2, 3]))


SHAPES: dict[str, dict[str, Any]] = {
    "dictionaries": {},
    "small pages": {"data_page_size": 700, "write_batch_size": 64},
    "plain": {"use_dictionary": False},
    "not compressed": {"compression": "none", "data_page_size": 700, "write_batch_size": 64},
    "version 2": {"data_page_version": "2.0", "data_page_size": 700, "write_batch_size": 64},
    "version 2, not compressed": {"data_page_version": "2.0", "compression": "none"},
    "dictionaries given up": {"dictionary_pagesize_limit": 300, "data_page_size": 700, "write_batch_size": 64},
    "encodings of others": {"use_dictionary": False, "column_encoding": {"i": "DELTA_BINARY_PACKED"}},
}


def columns_of_every_kind(rows: int, nulls: float, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    few = rng.integers(0, 9, rows)
    kinds: dict[str, tuple[Any, pa.DataType]] = {
        "i": (rng.integers(-(2**62), 2**62, rows), pa.int64()),
        "j": (few, pa.int32()),
        "x": (rng.random(rows), pa.float64()),
        "y": (few / 2, pa.float32()),
        "many": ([f"{n} ärger" * (n % 4) for n in rng.integers(0, 10**6, rows)], pa.string()),
        "few": ([f"straße {n}" for n in few], pa.string()),
        "raw": ([bytes([n]) * n for n in few], pa.binary()),
        "flag": (few > 4, pa.bool_()),
    }
    missing = rng.random(rows) < nulls
    # Nulls that follow each other make runs of levels.
    missing[rows // 3 : rows // 2] = nulls > 0
    return pa.table({name: pa.array(values, kind, mask=missing) for name, (values, kind) in kinds.items()})


@pytest.mark.parametrize("nulls", [0.0, 0.05, 0.95, 1.0])
@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
def test_rows_of_a_mask_are_those_that_a_filter_leaves(tmp_path: Path, options: dict[str, Any], nulls: float) -> None:
    path = tmp_path / "f.parquet"
    table = columns_of_every_kind(5000, nulls, seed=5)
    pq.write_table(table, path, row_group_size=1900, **options)
    found = opened(path, table.schema)
    assert found is not None
    for keeps in (False, True):
        rng = np.random.default_rng(7)
        columns = found.read(table.schema.names, [0, 1, 2], 1000, keeps_dictionaries=keeps)
        at = 0
        while at < table.num_rows:
            rows = min(int(rng.integers(1, 900)), table.num_rows - at)
            expected = table.slice(at, rows)
            at += rows
            share = rng.choice([0.0, 0.01, 0.5, 0.99, 1.0])
            mask = pa.array(rng.random(rows) < share, mask=rng.random(rows) < 0.1)
            choice = rng.integers(0, 4)
            if choice == 0:
                columns.skip(rows)
                continue
            batch = columns.take(rows) if choice == 1 else columns.take(rows, mask)
            expected = expected if choice == 1 else expected.filter(mask)
            batch.validate(full=True)
            assert pa.table(plain_batch(batch)).equals(expected.combine_chunks())


def test_small_dictionaries_stay_dictionaries_within_a_row_group(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    table = pa.table({"s": ["a", "b", None, "b"] * 500})
    pq.write_table(table, path, row_group_size=1000)
    found = opened(path, table.schema)
    assert found is not None
    columns = found.read(["s"], [0, 1], 600, keeps_dictionaries=True)
    first, across, last = (columns.take(rows).column(0) for rows in (600, 600, 800))
    assert first.type == last.type == pa.dictionary(pa.int32(), pa.string())
    assert first.dictionary.to_pylist() == ["a", "b"]
    assert across.type == pa.string()
    assert [*first.to_pylist(), *across.to_pylist(), *last.to_pylist()] == table.column("s").to_pylist()
    plain = found.read(["s"], [0, 1], 600)
    assert plain.take(600).column(0).type == pa.string()


def test_a_text_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"s": ["aß", "b"]}), path, use_dictionary=False, compression="none", write_statistics=False)
    whole = path.read_bytes()
    for spoilt in (b"a\xff\xff", b"a\xc3b"):  # no character; a character beyond the end of its text
        path.write_bytes(whole.replace("aß".encode(), spoilt))
        with pytest.raises(ValueError, match="a text is not UTF-8"):
            read(opened(path, pa.schema([("s", pa.string())])), ["s"])


def test_a_mask_has_a_mark_for_each_row(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(NUMBERS, path)
    found = opened(path, NUMBERS.schema)
    assert found is not None
    with pytest.raises(ValueError, match="a mask of 1 for 2 rows"):
        found.read(["n"], [0], 10).take(2, pa.array([True]))
