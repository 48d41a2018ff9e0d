"""Columns that own their memory, so that a sink may keep them."""

from __future__ import annotations

import pyarrow as pa

from shmflink import _core

__all__ = ["owned"]


def owned(columns: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows. Copies columns that lie in a segment of a channel, because the sender needs the segment back.

    All other memory is kept alive by references.
    """
    shared = _core.shared_columns(columns)
    if not shared:
        return columns
    arrays = columns.columns
    for place in shared:
        arrays[place] = _copy(arrays[place])
    return pa.RecordBatch.from_arrays(arrays, schema=columns.schema)


def _copy(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.DictionaryArray):
        indices, values = _copy(array.indices), _copy(array.dictionary)
        return pa.DictionaryArray.from_arrays(indices, values, ordered=array.type.ordered)
    # concat_arrays() would return a single array unchanged, without a copy.
    return pa.concat_arrays([array, array.slice(0, 0)])
