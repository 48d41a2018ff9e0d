"""What a source learns from its files: equal schemas add nothing; a different one counts at any position."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shmflink.connectors.file_system.file_systems import FileSystem
from shmflink.connectors.file_system.formats.parquet.format import ParquetFormat
from shmflink.connectors.file_system.reading.columns.schemas import MergeRule
from shmflink.connectors.file_system.reading.scan import FileScan
from shmflink.connectors.file_system.reading.scan_building import build_scan
from shmflink.errors import DataFormatError

SAME = pa.schema([("key", pa.int64()), ("name", pa.string())])


def scan_of(folder: Path, *schemas: pa.Schema, schema_merge: MergeRule = "strict") -> FileScan:
    for number, schema in enumerate(schemas):
        pq.write_table(schema.empty_table(), folder / f"{number}.parquet")
    return build_scan(ParquetFormat(), [str(folder)], FileSystem(), {"schema_merge": schema_merge})


@pytest.mark.parametrize("place", range(4))
def test_one_file_that_differs_counts_wherever_it_stands(tmp_path: Path, place: int) -> None:
    schemas = [SAME] * 3
    schemas.insert(place, SAME.append(pa.field("price", pa.float64())).set(0, pa.field("key", pa.int32())))
    scan = scan_of(tmp_path, *schemas, schema_merge="widen")
    assert scan.schema is not None
    assert {field.name: str(field.type) for field in scan.schema} == {
        "key": "int64",
        "name": "string",
        "price": "double",
    }


def test_a_refusal_names_the_file_that_differs(tmp_path: Path) -> None:
    with pytest.raises(DataFormatError, match=r"column 'key' is int64 in .*0\.parquet and string in .*2\.parquet"):
        scan_of(tmp_path, SAME, SAME, SAME.set(0, pa.field("key", pa.string())), SAME)


def test_metadata_that_differ_are_no_longer_true_of_all_rows(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, *[SAME.with_metadata({"unit": unit, "owner": "me"}) for unit in ("m", "m", "km", "m")])
    assert scan.annotations.metadata == {b"owner": b"me"}


def test_the_columns_of_files_that_say_the_same_are_described_once(tmp_path: Path) -> None:
    scan_of(tmp_path, SAME, SAME, SAME.with_metadata({"unit": "m"}))
    file_format = ParquetFormat()
    first, second, third = (file_format.infer_schema(str(tmp_path / f"{number}.parquet")) for number in range(3))
    assert second is first
    assert third.metadata == {b"unit": b"m"}
