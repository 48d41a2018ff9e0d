"""Large batches reach per-record functions in pieces."""

from __future__ import annotations

import pyarrow as pa
import pytest

from shmflink.core.batch import Batch
from shmflink.errors import UserFunctionError
from shmflink.operators.functions.map import MapOperator
from shmflink.operators.slices import SLICE_ROWS_MAX, slices_of
from shmflink.testing import OperatorHarness


def test_a_small_batch_stays_itself() -> None:
    batch = Batch.of_rows(list(range(SLICE_ROWS_MAX)))
    assert list(slices_of(batch)) == [batch]


def test_pieces_keep_order_timestamps_and_size() -> None:
    count = 2 * SLICE_ROWS_MAX + 1
    with OperatorHarness(MapOperator(lambda x: x)) as harness:
        harness.process_rows(range(count), timestamps=range(count))
        assert [batch.num_rows for batch in harness.batches()] == [SLICE_ROWS_MAX, SLICE_ROWS_MAX, 1]
        assert harness.rows() == harness.timestamps() == list(range(count))


def test_columns_are_cut_without_rows() -> None:
    batch = Batch.of_columns(pa.RecordBatch.from_pydict({"x": list(range(SLICE_ROWS_MAX + 5))}))
    assert [piece.num_rows for piece in slices_of(batch)] == [SLICE_ROWS_MAX, 5]


def test_the_offending_record_is_found_in_a_later_piece() -> None:
    with OperatorHarness(MapOperator(lambda x: 1 / x)) as harness, pytest.raises(UserFunctionError) as caught:
        harness.process_rows([1] * (SLICE_ROWS_MAX + 3) + [0])
    assert caught.value.record == "0"
