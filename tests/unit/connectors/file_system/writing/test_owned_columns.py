from __future__ import annotations

import pyarrow as pa

from shmflink import _core
from shmflink.connectors.file_system.writing.owned_columns import owned


def test_what_arrow_allocated_stays() -> None:
    rows = pa.record_batch({"a": [1, None], "b": ["x", "y"]})
    assert owned(rows) is rows


def test_views_of_a_segment_are_copied() -> None:
    rows = pa.record_batch(
        {
            "a": [1, None, 3],
            "b": [["x"], None, ["y", "z"]],
            "d": pa.array(["p", "q", "p"], pa.dictionary(pa.int8(), pa.string())),
            "flag": [True, None, False],
            "mine": [1.5, 2.5, 3.5],
        }
    )
    foreign = _through_a_channel(rows).slice(1)
    assert _lies_in_a_segment(foreign)
    copied = owned(foreign)
    assert copied.equals(rows.slice(1))
    assert copied.schema.equals(rows.schema)
    assert not _lies_in_a_segment(copied)


def test_only_columns_of_a_segment_are_copied() -> None:
    foreign = _through_a_channel(pa.record_batch({"a": [1, None], "b": pa.nulls(2), "c": [["x"], []]}))
    mine = pa.record_batch({"d": ["p", "q"], "e": pa.array(["p", "q"], pa.dictionary(pa.int8(), pa.string()))})
    values = pa.DictionaryArray.from_arrays(pa.array([0, 0]), foreign.column(0))
    arrays = [*foreign.columns, *mine.columns, values]
    mixed = pa.RecordBatch.from_arrays(arrays, names=list("abcdef"))
    assert _core.shared_columns(mixed) == [0, 2, 5]
    copied = owned(mixed)
    assert copied.equals(mixed)
    assert copied.column(3).buffers()[2].address == mixed.column(3).buffers()[2].address


def test_memory_of_others_that_references_keep_stays() -> None:
    rows = _through_a_stream(pa.record_batch({"a": [1, None]}))
    assert not rows.column(0).buffers()[1].is_mutable
    assert owned(rows) is rows


def test_an_empty_batch() -> None:
    rows = _through_a_channel(pa.record_batch({"a": ["x"]})).slice(1)
    assert owned(rows).num_rows == 0


def _lies_in_a_segment(rows: pa.RecordBatch) -> bool:
    return bool(_core.shared_columns(rows))


def _through_a_channel(rows: pa.RecordBatch) -> pa.RecordBatch:
    ring_memory, producer = _core.RingMemory.create(1, 1, 1, 16, 4), _core.RingMemory.create(1, 1, 0, 16, 4)
    arena = _core.Arena.create(1, 4096, 2)
    partition = _core.ResultPartition(
        arena, [(ring_memory, 0, ring_memory.doorbell(0))], strategy="FORWARD", exclusive=2
    )
    gate = _core.InputGate(ring_memory, [(0, arena, producer.doorbell(0))], exclusive=2, floating=0)
    assert partition.write(rows)
    partition.flush()
    polled = gate.poll()
    assert polled is not None
    assert len(polled) == 2
    return polled[1]


def _through_a_stream(rows: pa.RecordBatch) -> pa.RecordBatch:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, rows.schema) as stream:
        stream.write_batch(rows)
    return pa.ipc.open_stream(out.getvalue()).read_next_batch()
