from __future__ import annotations

import os
import pickle
import re
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oracle.driver import Driver

from shmflink.connectors.file_system.formats.orc.output import OrcWriterFactory
from shmflink.connectors.file_system.formats.parquet.output import ParquetBulkWriters, ParquetWriterFactory
from shmflink.connectors.file_system.writing.buckets import BucketAssigner
from shmflink.connectors.file_system.writing.encoders import BulkWriterFactory, Encoder
from shmflink.connectors.file_system.writing.parts import part_writers as parts_module
from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.connectors.file_system.writing.sink import FileSink, OutputFileConfig, RowFormatBuilder
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import ColumnsTypeInfo, Types
from shmflink.errors import ConfigurationError, JobGraphError, ResourceError, TypeMismatchError, UsageError

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def lines(path: Path, charset: str = "UTF-8") -> RowFormatBuilder:
    builder = FileSink.for_row_format(str(path), Encoder.simple_string_encoder(charset))
    return builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner())


def parquet(path: Path, factory: Any) -> FileSink:
    builder = FileSink.for_bulk_format(str(path), factory)
    return builder.with_bucket_assigner(BucketAssigner.base_path_bucket_assigner()).build()


def test_lines_of_text_under_flinks_file_names(driver: Driver, tmp_path: Path) -> None:
    names = OutputFileConfig.builder().with_part_prefix("prefix").with_part_suffix(".ext").build()
    assert (names.get_part_prefix(), names.get_part_suffix()) == ("prefix", ".ext")
    writer = driver.writer(pickle.loads(pickle.dumps(lines(tmp_path / "out").with_output_file_config(names).build())))
    row_type = Types.TUPLE([Types.STRING(), Types.INT()])
    driver.write(writer, Batch.of_rows([("a", 1)], row_type), Batch.of_rows([("b", None)], row_type))
    assert os.listdir(tmp_path / "out") == []
    driver.finish(writer)
    (name,) = os.listdir(tmp_path / "out")
    assert re.fullmatch(f"prefix-{UUID}-0\\.ext", name)
    assert (tmp_path / "out" / name).read_text() == "(a,1)\n(b,null)\n"


def bulk(path: str, factory: BulkWriterFactory) -> FileSink:
    return FileSink.for_bulk_format(path, factory).build()


def test_the_default_bucket_is_the_hour(driver: Driver, tmp_path: Path) -> None:
    sink = FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder()).build()
    writer = driver.writer(sink)
    driver.write(writer, Batch.of_rows(["a"]))
    driver.clock.now_ms += 3_600_000
    driver.write(writer, Batch.of_rows(["b"]))
    driver.finish(writer)
    folders = sorted(os.listdir(tmp_path))
    assert len(folders) == 2
    assert all(re.fullmatch(r"2023-11-1\d--\d\d", folder) for folder in folders)


def test_parts_roll_by_size(driver: Driver, tmp_path: Path) -> None:
    sink = lines(tmp_path).with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=10)).build()
    writer = driver.writer(sink)
    driver.write(writer, *[Batch.of_rows(["12345"]) for _ in range(5)])
    driver.finish(writer)
    parts = sorted(tmp_path.iterdir(), key=lambda path: path.name)
    assert [part.read_text().split() for part in parts] == [["12345"] * 2, ["12345"] * 2, ["12345"]]


def test_many_full_parts_do_not_need_many_descriptors(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_module, "_WAITING_DESCRIPTORS_MAX", 1)
    sink = lines(tmp_path).with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1)).build()
    writer = driver.writer(sink)
    driver.write(writer, *[Batch.of_rows([str(number)]) for number in range(5)])
    driver.finish(writer)
    assert sorted(part.read_text() for part in tmp_path.iterdir()) == [f"{number}\n" for number in range(5)]


@pytest.mark.parametrize("parked", [0, 64])
def test_a_job_that_fails_leaves_nothing(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parked: int
) -> None:
    monkeypatch.setattr(parts_module, "_WAITING_DESCRIPTORS_MAX", parked)
    sink = lines(tmp_path / "out").with_rolling_policy(RollingPolicy.default_rolling_policy(part_size=1)).build()
    writer = driver.writer(sink)
    driver.write(writer, Batch.of_rows(["a"]), Batch.of_rows(["b"]))
    driver.close(writer)
    assert os.listdir(tmp_path) == []


def test_no_rows_no_file(driver: Driver, tmp_path: Path) -> None:
    writer = driver.writer(lines(tmp_path).build())
    driver.write(writer, Batch.of_rows([]))
    driver.finish(writer)
    assert os.listdir(tmp_path) == []


def test_a_folder_in_the_way(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JobGraphError, match="this is a file"):
        lines(tmp_path / "file")
    sink = lines(tmp_path / "file" / "below").build()
    with pytest.raises(ResourceError, match="cannot be created"):
        driver.writer(sink)


@pytest.mark.parametrize("path", ["", "\n"])
def test_no_folder_is_the_current_directory_by_being_empty(path: str) -> None:
    for make in (FileSink.parquet, FileSink.csv, FileSink.json_lines, FileSink.ipc):
        with pytest.raises(ConfigurationError, match="is empty; name a file, a folder"):
            make(path)
    with pytest.raises(ConfigurationError, match="is empty"):
        FileSink.for_row_format(path, Encoder.simple_string_encoder())
    with pytest.raises(ConfigurationError, match=r"a path must be a str or an os\.PathLike, not None"):
        FileSink.parquet(None)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be OnCheckpointRollingPolicy"):
        FileSink.for_bulk_format(str(tmp_path), ParquetWriterFactory()).with_rolling_policy(
            RollingPolicy.default_rolling_policy()
        )
    with pytest.raises(ConfigurationError, match="cannot be part of a file name"):
        OutputFileConfig.builder().with_part_prefix("a/b")
    with pytest.raises(JobGraphError, match=r"default_rolling_policy\(part_size=\.\.\.\)"):
        lines(tmp_path).enable_compact(None, None)
    with pytest.raises(ConfigurationError, match="unknown Parquet compression `zip`"):
        ParquetWriterFactory(compression="zip")


def test_columns_become_parquet(driver: Driver, tmp_path: Path) -> None:
    writer = driver.writer(parquet(tmp_path, ParquetWriterFactory(compression="zstd")))
    columns = pa.record_batch({"a": ["x", None], "b": [1, 2]})
    driver.write(writer, Batch.of_columns(columns), Batch.of_columns(columns.slice(1)))
    driver.finish(writer)
    (path,) = tmp_path.iterdir()
    table = pq.read_table(path)
    assert table.to_pydict() == {"a": ["x", None, None], "b": [1, 2, 2]}
    assert table.schema.equals(columns.schema, check_metadata=True)


def test_declared_rows_become_parquet(driver: Driver, tmp_path: Path) -> None:
    row_type = Types.ROW_NAMED(["name", "count"], [Types.STRING(), Types.INT()])
    writer = driver.writer(parquet(tmp_path, ParquetBulkWriters.for_row_type(row_type)))
    driver.write(writer, Batch.of_rows([Row(name="x", count=1)], row_type), Batch.of_rows([Row(count=2, name="y")]))
    driver.finish(writer)
    (path,) = tmp_path.iterdir()
    table = pq.read_table(path)
    assert table.to_pylist() == [{"name": "x", "count": 1}, {"name": "y", "count": 2}]
    assert table.schema.field("count").type == pa.int32()


def test_what_parquet_cannot_hold(driver: Driver, tmp_path: Path) -> None:
    writer = driver.writer(parquet(tmp_path, ParquetWriterFactory()))
    with pytest.raises(TypeMismatchError, match="declare the output type"):
        writer.write(Batch.of_rows([{"a": 1}, object]))
    writer.write(Batch.of_rows([1]))
    writer.write(Batch.of_rows(["text"]))
    with pytest.raises(TypeMismatchError, match="does not fit the file's columns"):
        driver.finish(writer)


def test_a_hadoop_configuration_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no Hadoop here"):
        ParquetBulkWriters.for_row_type(pa.schema([("a", pa.int64())]), hadoop_config={})


SINKS: list[tuple[Any, str]] = [
    (lambda path: FileSink.parquet(path), ".snappy.parquet"),
    (lambda path: FileSink.parquet(path, compression="none"), ".parquet"),
    (lambda path: FileSink.csv(path, compression="gzip"), ".csv.gz"),
    (lambda path: FileSink.json_lines(path, compression="zstd"), ".jsonl.zst"),
    (lambda path: FileSink.ipc(path), ".arrow"),
]


@pytest.mark.parametrize(("make", "extension"), SINKS)
def test_names_tell_the_format(driver: Driver, tmp_path: Path, make: Any, extension: str) -> None:
    writer = driver.writer(pickle.loads(pickle.dumps(make(str(tmp_path)))))
    driver.write(writer, Batch.of_columns(pa.record_batch({"a": [1]})))
    driver.finish(writer)
    (name,) = os.listdir(tmp_path)
    assert re.fullmatch(f"part-{UUID}-0{re.escape(extension)}", name)


def test_layout_of_folders_names_and_columns(driver: Driver, tmp_path: Path) -> None:
    sink = FileSink.parquet(
        str(tmp_path),
        partition_by=["country", BucketAssigner.timestamp_bucket_assigner("at", "yyyy", name="year")],
        part_prefix="orders",
        rolling=RollingPolicy.limits(part_rows=1),
        schema=pa.schema([("country", pa.string()), ("n", pa.int32()), ("at", pa.timestamp("ms"))]),
    )
    writer = driver.writer(sink)
    columns = pa.record_batch({"country": ["DE", "DE"], "n": [1, 2], "at": pa.array([0, 1], pa.timestamp("s"))})
    driver.write(writer, Batch.of_columns(columns))
    driver.finish(writer)
    folder = tmp_path / "country=DE" / "year=1970"
    tables = [pq.read_table(path, partitioning=None) for path in folder.iterdir()]
    assert sorted(table.to_pylist()[0]["n"] for table in tables) == [1, 2]
    assert tables[0].schema == pa.schema([("n", pa.int32()), ("at", pa.timestamp("ms"))])
    assert all(path.name.startswith("orders-") for path in folder.iterdir())


def test_partition_columns_may_stay(driver: Driver, tmp_path: Path) -> None:
    writer = driver.writer(FileSink.csv(str(tmp_path), partition_by="k", keep_partition_columns=True))
    driver.write(writer, Batch.of_columns(pa.record_batch({"k": ["x"]})))
    driver.finish(writer)
    assert next(tmp_path.rglob("*.csv")).read_text() == "k\nx\n"


def test_folders_by_processing_time(driver: Driver, tmp_path: Path) -> None:
    hours = BucketAssigner.date_time_bucket_assigner("HH", "UTC")
    writer = driver.writer(FileSink.csv(str(tmp_path), partition_by=hours))
    driver.write(writer, Batch.of_columns(pa.record_batch({"k": ["x"]})))
    driver.finish(writer)
    assert os.listdir(tmp_path) == ["22"]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"publish": "now"}, "publish='now': must be at_end or when_rolled"),
        ({"open_parts_max": 0}, "open_parts_max must be at least 1"),
        ({"buffered_bytes_max": 0}, "buffered_bytes_max must be at least 1"),
        ({"check_interval_ms": 0}, "check_interval_ms must be at least 1"),
        ({"part_prefix": "a/b"}, "cannot be part of a file name"),
        ({"partition_by": ["k", BucketAssigner.date_time_bucket_assigner()]}, "uses no column"),
    ],
)
def test_layouts_that_are_refused(tmp_path: Path, layout: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FileSink.parquet(str(tmp_path), **layout)


DURATION = pa.schema({"n": pa.int64(), "d": pa.duration("s")})


@pytest.mark.parametrize(
    ("make", "columns", "reason"),
    [
        (FileSink.csv, DURATION, r'column "d" of type Duration\(s\): .* has no text form; cast it before the sink'),
        (FileSink.json_lines, DURATION, r'column "d" of type Duration\(s\): .* has no text form; cast it'),
        (
            FileSink.json_lines,
            pa.schema({"l": pa.list_(pa.struct({"d": pa.duration("us")}))}),
            r'column "l" of type List\(Struct\("d": Duration\(µs\)\)\)',
        ),
        (
            FileSink.parquet,
            pa.schema({"n": pa.int64(), "i": pa.month_day_nano_interval()}),
            "column 'i' of type month_day_nano_interval: Parquet files cannot hold it .*; cast it before the sink",
        ),
        (
            partial(bulk, factory=OrcWriterFactory()),
            pa.schema({"u": pa.uint64()}),
            "column 'u' of type uint64: ORC files",
        ),
        (partial(FileSink.csv, schema=DURATION), pa.schema({"n": pa.int64(), "d": pa.int64()}), 'column "d"'),
        (partial(FileSink.csv, partition_by=["n"]), DURATION, 'column "d"'),
    ],
)
def test_columns_that_files_cannot_hold_are_refused_where_the_job_is_planned(
    tmp_path: Path, make: Any, columns: pa.Schema, reason: str
) -> None:
    with pytest.raises(TypeMismatchError, match=reason):
        make(str(tmp_path)).with_input_type(ColumnsTypeInfo(columns))


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ({"partition_by": "k"}, "the sink partitions by 'k', but the rows have n, d"),
        ({"partition_by": ["n", "d"]}, r"partitions by all columns \(n, d\)"),
        ({"statistics": ["k"]}, "Parquet statistics: there is no column 'k'; the file has n, d"),
        ({"dictionary": ["n"], "partition_by": "n"}, "Parquet dictionary: there is no column 'n'; the file has d"),
    ],
)
def test_columns_that_are_not_there_are_named_where_the_job_is_planned(
    tmp_path: Path, layout: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        FileSink.parquet(str(tmp_path), **layout).with_input_type(ColumnsTypeInfo(DURATION))


@pytest.mark.parametrize(
    "sink",
    [
        FileSink.parquet("/o"),
        FileSink.ipc("/o"),
        FileSink.orc("/o", compression="none", schema=pa.schema({"n": pa.int64(), "d": pa.int64()})),
        FileSink.csv("/o", partition_by="d", schema=pa.schema({"n": pa.int64(), "d": pa.string()})),
        FileSink.csv("/o", schema=pa.schema({"n": pa.int64(), "d": pa.int64()})),
        FileSink.for_row_format("/o", Encoder.simple_string_encoder()).build(),
    ],
)
def test_columns_that_files_can_hold_after_all(sink: FileSink) -> None:
    assert isinstance(sink.with_input_type(ColumnsTypeInfo(DURATION)), FileSink)


def test_row_formats_do_not_count(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot count rows"):
        lines(tmp_path).with_rolling_policy(RollingPolicy.limits(part_rows=1))
    with pytest.raises(ConfigurationError, match="needs milliseconds"):
        lines(tmp_path).with_bucket_check_interval(0)


def test_avro_files_need_a_schema_of_their_own() -> None:
    with pytest.raises(UsageError, match=r"for_bulk_format\('/o', AvroBulkWriters.for_generic_record\(AvroSchema"):
        FileSink.avro("/o")


def test_unknown_options_of_orc_files_are_named() -> None:
    with pytest.raises(ConfigurationError, match="unknown ORC compression 'brotli'"):
        FileSink.orc("/o", compression="brotli")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="stripe_size"):
        FileSink.orc("/o", stripe_size=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("make", [FileSink.json_lines, FileSink.parquet, FileSink.csv])
def test_records_declared_without_columns_are_refused_where_the_job_is_planned(make: Any) -> None:
    with pytest.raises(TypeMismatchError, match=r"needs columns, .* put .as_columns\(pyarrow.schema"):
        make("/o").with_input_type(Types.PICKLED_BYTE_ARRAY())
    assert isinstance(make("/o").with_input_type(None), FileSink)
