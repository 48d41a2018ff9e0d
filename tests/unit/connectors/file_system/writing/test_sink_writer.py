from __future__ import annotations

import os
import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from oracle.driver import Driver

from shmflink.connectors.file_system.writing.buckets import BucketAssigner
from shmflink.connectors.file_system.writing.encoders import Encoder
from shmflink.connectors.file_system.writing.rolling import RollingPolicy
from shmflink.connectors.file_system.writing.sink import FileSink
from shmflink.core.batch import Batch
from shmflink.core.row import Row
from shmflink.core.types.typeinfo import Types
from shmflink.errors import ConfigurationError, TypeMismatchError


def rows(*numbers: int) -> Batch:
    return Batch.of_columns(pa.record_batch({"n": pa.array(numbers, pa.int64())}))


def texts(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.rglob("*.csv"))


def test_parts_appear_when_they_are_full_where_asked(driver: Driver, tmp_path: Path) -> None:
    rolling = RollingPolicy.limits(part_rows=2)
    sink = FileSink.csv(str(tmp_path), header=False, rolling=rolling, publish="when_rolled")
    writer = driver.writer(pickle.loads(pickle.dumps(sink)))
    driver.write(writer, rows(1, 2, 3), rows(4, 5), rows(6), rows(7), rows(8), rows(9))
    driver.mailbox.wait_until(lambda: writer.is_available)
    driver.close(writer)
    seen = texts(tmp_path)
    assert seen
    assert seen == ["1\n2\n", "3\n4\n", "5\n6\n", "7\n8\n"][: len(seen)]


def test_an_idle_sink_looks_at_the_age_of_its_parts(driver: Driver, tmp_path: Path) -> None:
    sink = FileSink.csv(
        str(tmp_path),
        header=False,
        rolling=RollingPolicy.limits(age_ms=1000),
        publish="when_rolled",
        check_interval_ms=1,
    )
    writer = driver.writer(sink)
    driver.write(writer, rows(1))
    driver.clock.now_ms += 1000
    while not texts(tmp_path):  # the watchdog is pytest's
        assert not writer.is_finished
    assert texts(tmp_path) == ["1\n"]
    driver.write(writer, rows(2))
    driver.finish(writer)
    assert texts(tmp_path) == ["1\n", "2\n"]


def test_a_busy_sink_looks_at_parts_that_are_not_written_to(driver: Driver, tmp_path: Path) -> None:
    buckets = BucketAssigner.column_bucket_assigner("n", keep_columns=True)
    sink = FileSink.csv(
        str(tmp_path),
        header=False,
        partition_by=buckets,
        rolling=RollingPolicy.limits(inactivity_ms=1000),
        publish="when_rolled",
        check_interval_ms=500,
    )
    writer = driver.writer(sink)
    driver.write(writer, rows(1))
    driver.clock.now_ms += 600
    driver.write(writer, rows(2))
    driver.clock.now_ms += 600
    driver.write(writer, rows(2))
    driver.clock.now_ms += 600
    driver.write(writer, rows(2))
    driver.finish(writer)
    assert texts(tmp_path) == ["1\n", "2\n2\n2\n"]
    numbers = {path.parent.name: path.stem.rsplit("-", 1)[1] for path in tmp_path.rglob("*.csv")}
    assert numbers == {"n=1": "0", "n=2": "1"}


def test_text_of_records_goes_to_folders_by_column(driver: Driver, tmp_path: Path) -> None:
    row_type = Types.ROW_NAMED(["country", "n"], [Types.STRING(), Types.INT()])
    builder = FileSink.for_row_format(str(tmp_path), Encoder.simple_string_encoder())
    sink = builder.with_bucket_assigner(BucketAssigner.column_bucket_assigner("country")).build()
    writer = driver.writer(sink)
    driver.write(writer, Batch.of_rows([Row(country="DE", n=1), Row(country="FR", n=2)], row_type))
    driver.finish(writer)
    assert {path.parent.name: path.read_text() for path in tmp_path.rglob("part-*")} == {
        "country=DE": "+I[1]\n",
        "country=FR": "+I[2]\n",
    }


def test_rows_must_have_columns(driver: Driver, tmp_path: Path) -> None:
    writer = driver.writer(FileSink.json_lines(str(tmp_path)))
    with pytest.raises(TypeMismatchError, match="JsonLinesWriterFactory needs columns"):
        driver.write(writer, Batch.of_rows([object()]))


def test_an_unknown_partition_column_fails_the_job(driver: Driver, tmp_path: Path) -> None:
    writer = driver.writer(FileSink.parquet(str(tmp_path / "out"), partition_by="m"))
    driver.write(writer, rows(1))
    with pytest.raises(ConfigurationError, match="partitions by 'm', but the rows have n"):
        driver.finish(writer)
    driver.close(writer)
    assert os.listdir(tmp_path) == []
