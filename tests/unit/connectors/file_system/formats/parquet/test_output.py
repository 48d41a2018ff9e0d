from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shmflink.connectors.file_system.formats.parquet import output
from shmflink.connectors.file_system.formats.parquet.output import (
    ParquetBulkWriters,
    ParquetOptions,
    ParquetWriterFactory,
)
from shmflink.core.batch import Batch
from shmflink.core.types.typeinfo import Types
from shmflink.errors import ConfigurationError, TypeMismatchError


def numbers(count: int, start: int = 0) -> pa.RecordBatch:
    ids = range(start, start + count)
    return pa.record_batch({"id": pa.array(ids, pa.int64()), "kind": pa.array([f"k{number % 3}" for number in ids])})


def written(options: ParquetOptions, *batches: pa.RecordBatch) -> pq.ParquetFile:
    file = io.BytesIO()
    factory = ParquetWriterFactory(options=options)
    writer = factory.create(file, batches[0])
    for batch in batches:
        writer.write(factory.encode(Batch.of_columns(batch)))
    writer.close()
    assert (writer.buffered_bytes, file.closed) == (0, False)
    return pq.ParquetFile(io.BytesIO(file.getvalue()))


def test_metadata_is_in_the_footer() -> None:
    file = written(ParquetOptions(metadata={"geo": '{"version": "1.1.0"}', "": "ä"}), numbers(3))
    kept = file.metadata.metadata
    assert kept[b"geo"] == b'{"version": "1.1.0"}'
    assert kept[b""] == "ä".encode()
    assert file.schema_arrow.names == ["id", "kind"]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"geo": {"version": 1}}, r"metadata {'geo': {'version': 1}}: keys and values are texts"),
        ({1: "x"}, "metadata {1: 'x'}: keys and values are texts"),
        ({"ARROW:schema": "x"}, "the key 'ARROW:schema' is reserved for the writer"),
    ],
)
def test_metadata_that_is_refused(metadata: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        ParquetOptions(metadata=metadata)


def chunk(file: pq.ParquetFile, column: int) -> Any:
    return file.metadata.row_group(0).column(column)


def groups(file: pq.ParquetFile) -> list[int]:
    return [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]


def test_row_groups_have_the_rows_asked_for() -> None:
    file = written(ParquetOptions(row_group_rows=100), numbers(70), numbers(250, 70), numbers(5, 320))
    assert groups(file) == [100, 100, 100, 25]
    assert file.read()["id"].to_pylist() == list(range(325))


def test_row_groups_end_by_bytes() -> None:
    assert groups(written(ParquetOptions(row_group_bytes=1000), *[numbers(50)] * 4)) == [100, 100]


def test_a_dictionary_where_values_repeat() -> None:
    rows = pa.record_batch(
        {
            "id": list(range(5000)),
            "kind": ["x", "y"] * 2500,
            "flag": [True] * 5000,
            "tags": [[1, 1]] * 5000,
            "map": pa.array([[("k", 1)]] * 5000, pa.map_(pa.string(), pa.int64())),
            "s": [{"a": 1}] * 5000,
            "null": pa.nulls(5000),
        }
    )
    file = written(ParquetOptions(), rows)
    paths = [chunk(file, number).path_in_schema for number in range(file.metadata.num_columns)]
    with_dictionary = {path for number, path in enumerate(paths) if chunk(file, number).has_dictionary_page}
    assert with_dictionary == {"kind", "tags.list.element", "map.key_value.key", "map.key_value.value", "s.a"}
    assert file.read().to_pylist() == rows.to_pylist()


def test_dictionaries_as_asked() -> None:
    for dictionary, expected in ((True, [True, True]), (False, [False, False]), (["id"], [True, False])):
        file = written(ParquetOptions(dictionary=dictionary), numbers(50))
        assert [chunk(file, 0).has_dictionary_page, chunk(file, 1).has_dictionary_page] == expected


def test_enough_rows_of_one_file_decide_for_the_next() -> None:
    factory = ParquetWriterFactory(options=ParquetOptions())
    same = pa.record_batch({"a": [1] * 16_384})
    other = pa.record_batch({"a": list(range(1000))})
    has_dictionary = []
    for rows in (other, same, other):
        file = io.BytesIO()
        writer = factory.create(file, rows)
        writer.write(rows)
        writer.close()
        has_dictionary.append(chunk(pq.ParquetFile(io.BytesIO(file.getvalue())), 0).has_dictionary_page)
    assert has_dictionary == [False, True, True]


def test_plain_encodings_by_default_and_compact_ones_where_asked() -> None:
    rows = pa.record_batch(
        {
            "id": list(range(1000)),
            "at": pa.array(range(1000), pa.timestamp("us")),
            "x": [number / 7 for number in range(1000)],
            "repeated": [1, 2] * 500,
        }
    )
    plain, compact = written(ParquetOptions(), rows), written(ParquetOptions(encodings="compact"), rows)
    assert "DELTA_BINARY_PACKED" not in {encoding for number in range(4) for encoding in chunk(plain, number).encodings}
    encodings = [chunk(compact, number).encodings for number in range(4)]
    assert ["DELTA_BINARY_PACKED" in names for names in encodings] == [True, True, False, False]
    assert compact.read().equals(plain.read())


def test_codec_statistics_and_pages_as_asked() -> None:
    options = ParquetOptions(
        compression="zstd",
        compression_level=5,
        statistics=["id"],
        page_index=True,
        page_checksum=True,
        data_page_version="2.0",
        data_page_bytes=1 << 12,
    )
    file = written(options, numbers(50))
    assert chunk(file, 0).compression == "ZSTD"
    assert [chunk(file, 0).is_stats_set, chunk(file, 1).is_stats_set] == [True, False]
    assert chunk(file, 0).has_column_index
    assert file.read()["id"].to_pylist() == list(range(50))


def test_bloom_filters_and_the_page_index_say_what_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    options = ParquetOptions(bloom_filters=["id", "kind"], page_index=True, row_group_rows=1000)
    with path.open("wb") as file:
        writer = ParquetWriterFactory(options=options).create(file, numbers(1))
        writer.write(numbers(2000))
        writer.close()
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as engine:
        excluded = "SELECT DISTINCT bloom_filter_excludes FROM parquet_bloom_probe($1, $2, $3)"
        assert engine.execute(excluded, [str(path), "kind", "absent"]).fetchall() == [(True,)]
        assert engine.execute(excluded, [str(path), "kind", "k1"]).fetchall() == [(False,)]
    assert chunk(pq.ParquetFile(path), 0).has_column_index


@pytest.mark.parametrize(
    ("kind", "reason"), [(pa.bool_(), "has type bool, which cannot"), (pa.list_(pa.int64()), "has type list<")]
)
def test_columns_that_cannot_have_a_bloom_filter(kind: pa.DataType, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Parquet bloom_filters: column 'c' {reason}"):
        ParquetOptions(bloom_filters=["c"]).check_columns(pa.schema([("c", kind)]))


def test_a_pyarrow_without_bloom_filters_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_writer_settings", lambda: frozenset[str]())
    with pytest.raises(ConfigurationError, match=r"pyarrow .* cannot write them; upgrade pyarrow"):
        ParquetOptions(bloom_filters=["id"]).check_columns(numbers(1).schema)
    assert written(ParquetOptions(), numbers(5)).read().num_rows == 5


def test_the_size_to_come_follows_the_row_groups_before() -> None:
    file = io.BytesIO()
    writer = ParquetWriterFactory(options=ParquetOptions(row_group_rows=1000)).create(file, numbers(1))
    writer.write(numbers(999))
    assert writer.expected_bytes == 0
    writer.write(numbers(501))
    assert 0 < writer.expected_bytes < writer.buffered_bytes
    writer.abandon()


def test_extensions() -> None:
    assert ParquetWriterFactory().extension == ".snappy.parquet"
    assert ParquetWriterFactory(compression="none").extension == ".parquet"


def test_types_that_parquet_has_not() -> None:
    rows = pa.record_batch({"i": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    with pytest.raises(TypeMismatchError, match="Parquet cannot hold"):
        written(ParquetOptions(), rows)


def test_undeclared_fields_have_no_columns() -> None:
    with pytest.raises(TypeMismatchError, match="no columns for undeclared objects"):
        ParquetBulkWriters.for_row_type(Types.ROW_NAMED(["a"], [Types.PICKLED_BYTE_ARRAY()]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": "zip"}, "unknown Parquet compression `zip`"),
        ({"compression_level": 3}, "compression_level=3: snappy has no levels"),
        ({"compression": "zstd", "compression_level": 99}, "zstd has levels 1 to 22"),
        ({"row_group_rows": 0}, "row_group_rows must be at least 1, got 0"),
        ({"encodings": "fast"}, "encodings 'fast': one of plain, compact"),
        ({"data_page_version": "3.0"}, "data_page_version '3.0'"),
        ({"dictionary": "id"}, "dictionary 'id': auto, True, False or a list"),
    ],
)
def test_what_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ParquetOptions(**options)


@pytest.mark.parametrize("option", ["dictionary", "statistics", "bloom_filters"])
def test_columns_that_are_not_there(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Parquet {option}: there is no column 'kin'; the file has id, kind"):
        written(ParquetOptions(**{option: ["kin"]}), numbers(1))


def test_metadata_of_the_rows_of_the_declared_columns_and_of_the_options() -> None:
    rows = pa.schema(
        [pa.field("id", pa.int64(), metadata={"comment": "of rows"})], {"a": "rows", "b": "rows", "c": "rows"}
    )
    declared = pa.schema(
        [pa.field("id", pa.int64(), metadata={"more": "x"}), ("kind", pa.string())], {"b": "declared", "c": "declared"}
    )
    factory = ParquetWriterFactory(declared, options=ParquetOptions(metadata={"c": "options"})).with_metadata(rows)
    file = io.BytesIO()
    batch = factory.encode(Batch.of_columns(numbers(3)))
    writer = factory.create(file, batch)
    writer.write(batch)
    writer.close()
    schema = pq.read_schema(io.BytesIO(file.getvalue()))
    assert schema.metadata == {b"a": b"rows", b"b": b"declared", b"c": b"options"}
    assert schema.field("id").metadata == {b"comment": b"of rows", b"more": b"x"}
    assert pq.read_table(io.BytesIO(file.getvalue())).to_pylist() == numbers(3).to_pylist()
