"""Rows are picked out of columns of every type, and stay in it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from shmflink.core.picking import kept, taken

_COLUMNS = {
    "texts": pa.array(["a", None, "long enough to be beside the view"], pa.string_view()),
    "bytes": pa.array([b"a", None, b"b"], pa.binary_view()),
    "words": pa.array(["x", "y", None], pa.string()),
    "numbers": pa.array([1, 2, 3]),
}


@pytest.mark.parametrize("names", [["texts"], ["bytes", "numbers"], list(_COLUMNS)])
def test_rows_of_views_are_kept_and_taken(names: list[str]) -> None:
    rows = pa.record_batch({name: _COLUMNS[name] for name in names})
    mask, indices = pa.array([True, False, True]), pa.array([2, 0, 0])

    some, chosen = kept(rows, mask), taken(rows, indices)

    assert some.schema == chosen.schema == rows.schema
    assert some.to_pylist() == [rows.to_pylist()[0], rows.to_pylist()[2]]
    assert chosen.to_pylist() == [rows.to_pylist()[index] for index in (2, 0, 0)]


def test_one_column_by_indices_with_nulls() -> None:
    assert taken(_COLUMNS["texts"], pa.array([0, None])).to_pylist() == ["a", None]
