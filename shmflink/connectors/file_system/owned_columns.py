"""Columns whose memory is their own, so that a sink may keep them."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["owned"]


def owned(columns: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows; a column that lies in memory of somebody else (a shared segment, an IPC message) is copied.

    What kernels and readers allocated themselves stays where it is.
    """
    arrays = columns.columns
    if all(map(_is_owned, arrays)):
        return columns
    copies = [array if _is_owned(array) else _copy(array) for array in arrays]
    return pa.RecordBatch.from_arrays(copies, schema=columns.schema)


def _is_owned(array: pa.Array) -> bool:
    if pa.types.is_dictionary(array.type) and not _is_owned(array.dictionary):
        return False
    # Arrow allocates mutable buffers and imports immutable ones, whatever keeps those alive.
    return all(buffer is None or buffer.is_mutable for buffer in array.buffers())


def _copy(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.DictionaryArray):
        indices, values = _copy(array.indices), _copy(array.dictionary)
        return pa.DictionaryArray.from_arrays(indices, values, ordered=array.type.ordered)
    # One array alone would be handed back as it is.
    return pa.concat_arrays([array, array.slice(0, 0)])
