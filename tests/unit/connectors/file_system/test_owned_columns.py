from __future__ import annotations

import pyarrow as pa

from shmflink.connectors.file_system.owned_columns import owned


def test_what_arrow_allocated_stays() -> None:
    rows = pa.record_batch({"a": [1, None], "b": ["x", "y"]})
    assert owned(rows) is rows


def test_views_of_foreign_memory_are_copied() -> None:
    rows = pa.record_batch(
        {
            "a": [1, None, 3],
            "b": [["x"], None, ["y", "z"]],
            "d": pa.array(["p", "q", "p"], pa.dictionary(pa.int8(), pa.string())),
            "flag": [True, None, False],
            "mine": [1.5, 2.5, 3.5],
        }
    )
    foreign = _through_a_stream(rows).slice(1)
    copied = owned(foreign)
    assert copied.equals(rows.slice(1))
    assert copied.schema.equals(rows.schema)
    assert all(buffer is None or buffer.is_mutable for column in copied.columns for buffer in column.buffers())


def test_an_empty_batch() -> None:
    rows = _through_a_stream(pa.record_batch({"a": ["x"]})).slice(1)
    assert owned(rows).num_rows == 0


def _through_a_stream(rows: pa.RecordBatch) -> pa.RecordBatch:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, rows.schema) as stream:
        stream.write_batch(rows)
    return pa.ipc.open_stream(out.getvalue()).read_next_batch()
