"""Columns whose memory is their own, so that a sink may keep them."""

from __future__ import annotations

import pyarrow as pa

from shmflink import _core

__all__ = ["owned"]


def owned(columns: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows; a column in a segment of a channel is copied, because its sender needs the segment back.

    All other memory is kept alive by references.
    """
    arrays = columns.columns
    if not _core.is_any_shared([address for array in arrays for address in _foreign(array)]):
        return columns
    copies = [_copy(array) if _core.is_any_shared(_foreign(array)) else array for array in arrays]
    return pa.RecordBatch.from_arrays(copies, schema=columns.schema)


def _foreign(array: pa.Array) -> list[int]:
    """Addresses of buffers that Arrow did not allocate: it allocates mutable ones and imports immutable ones."""
    buffers = array.buffers()
    if pa.types.is_dictionary(array.type):
        buffers += array.dictionary.buffers()
    return [buffer.address for buffer in buffers if buffer is not None and not buffer.is_mutable]


def _copy(array: pa.Array) -> pa.Array:
    if isinstance(array, pa.DictionaryArray):
        indices, values = _copy(array.indices), _copy(array.dictionary)
        return pa.DictionaryArray.from_arrays(indices, values, ordered=array.type.ordered)
    # One array alone would be handed back as it is.
    return pa.concat_arrays([array, array.slice(0, 0)])
