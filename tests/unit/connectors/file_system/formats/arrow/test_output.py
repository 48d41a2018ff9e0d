from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest

from shmflink.connectors.file_system.formats.arrow.output import IpcWriterFactory
from shmflink.core.batch import Batch
from shmflink.errors import ConfigurationError


def written(factory: IpcWriterFactory, *batches: pa.RecordBatch) -> pa.ipc.RecordBatchFileReader:
    file = io.BytesIO()
    writer = factory.create(file, batches[0])
    for batch in batches:
        writer.write(factory.encode(Batch.of_columns(batch)))
    assert writer.buffered_bytes == writer.expected_bytes > 0
    writer.close()
    assert not file.closed
    return pa.ipc.open_file(file.getvalue())


@pytest.mark.parametrize(("compression", "level"), [("none", None), ("lz4", None), ("zstd", 5)])
def test_small_batches_are_put_together(compression: str, level: int | None) -> None:
    rows = pa.record_batch({"a": ["x", None], "b": [[1], None]})
    file = written(IpcWriterFactory(None, compression, level), rows, rows, rows.slice(1))
    assert file.num_record_batches == 1
    assert file.read_all().to_pylist() == [*rows.to_pylist(), *rows.to_pylist(), *rows.to_pylist()[1:]]
    assert file.schema.equals(rows.schema)


def test_large_ones_are_not_held_back() -> None:
    rows = pa.record_batch({"a": pa.array(range(600_000), pa.int64())})
    factory = IpcWriterFactory()
    writer = factory.create(io.BytesIO(), rows)
    writer.write(rows)
    assert writer.buffered_bytes == 0
    writer.abandon()


def test_dictionaries_become_one() -> None:
    kind = pa.dictionary(pa.int32(), pa.string())
    first = pa.record_batch({"a": pa.array(["x", "y"], kind)})
    second = pa.record_batch({"a": pa.array(["z", "x"], kind)})
    assert written(IpcWriterFactory(), first, second).read_all()["a"].to_pylist() == ["x", "y", "z", "x"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((None, "snappy"), "unknown IPC compression `snappy`"), ((None, "lz4", 1), "only zstd has levels")],
)
def test_what_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        IpcWriterFactory(*arguments)
