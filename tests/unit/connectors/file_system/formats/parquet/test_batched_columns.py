from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from shmflink.connectors.file_system.formats.parquet.batched_columns import BatchedColumns


def numbers() -> Iterator[pa.RecordBatch]:
    for start in (0, 4, 8):
        yield pa.record_batch({"n": list(range(start, start + 4))})


def test_pieces_need_not_be_batches() -> None:
    columns = BatchedColumns(numbers)
    assert columns.take(3).column("n").to_pylist() == [0, 1, 2]
    columns.skip(3)
    assert columns.take(5, pa.array([True, False, None, True, True])).column("n").to_pylist() == [6, 9, 10]
    with pytest.raises(pa.ArrowInvalid, match="the column has fewer rows than the footer states"):
        columns.take(2)


def test_columns_of_which_no_row_is_wanted_are_not_opened() -> None:
    def unwanted() -> Iterator[pa.RecordBatch]:
        pytest.fail("it was opened")
        yield from numbers()

    BatchedColumns(unwanted).skip(10)
