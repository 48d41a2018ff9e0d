"""Arrays of a column as flat values and offsets, the form on which functions of arrays compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shmflink import _core
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.lazy_imports import pc
from shmflink.expressions.vectors import validity_of

__all__ = ["Integers", "Lists", "codes_of", "first_of_each", "interleaved", "list_of", "stable_codes_of"]

Integers = npt.NDArray[np.int64]

_ITEMS_MAX: Final = 2**31 - 1  # offsets of lists are 32 bits wide


@dataclass(frozen=True, slots=True)
class Lists:
    """The arrays of a column. A null row has no values here; `column` records that it is null."""

    column: pa.Array
    lengths: Integers
    offsets: Integers
    """The offset of each row's values, and the end."""
    values: pa.Array

    @classmethod
    def of(cls, column: pa.Array) -> Lists:
        """Converts an array of any list type."""
        counts = pc.list_value_length(column)
        lengths = np.asarray(counts.fill_null(0) if counts.null_count else counts).astype(np.int64)
        return cls(column, lengths, _offsets(lengths), column.flatten())

    @property
    def rows(self) -> int:
        """Number of arrays."""
        return len(self.lengths)

    @property
    def parents(self) -> Integers:
        """For each value, the row that it is in."""
        return np.repeat(np.arange(self.rows), self.lengths)

    @property
    def places(self) -> Integers:
        """For each value, its index in its row."""
        return np.arange(len(self.values)) - np.repeat(self.offsets[:-1], self.lengths)

    def kept(self, is_kept: npt.NDArray[np.bool_]) -> pa.Array:
        """The column with some of the values only."""
        lengths = np.bincount(self.parents[is_kept], minlength=self.rows)
        return list_of(self.values.filter(pa.array(is_kept)), lengths, self.column)

    def taken(self, indices: Integers) -> pa.Array:
        """The column with the same lengths and these of the values."""
        return list_of(self.values.take(pa.array(indices)), self.lengths, self.column)

    def counted(self, is_counted: npt.NDArray[np.bool_]) -> Integers:
        """For each row, the number of its marked values."""
        return np.bincount(self.parents[is_counted], minlength=self.rows)


def list_of(values: pa.Array, lengths: npt.NDArray[Any], *null_like: pa.Array) -> pa.Array:
    """A column of arrays over consecutive values; null where one of the other columns is null."""
    offsets = _offsets(lengths)
    if offsets[-1] > _ITEMS_MAX:
        raise ValueError(f"the arrays of a batch have {offsets[-1]} items, more than 2^31: use smaller batches")
    buffers = [_common_validity(null_like), pa.py_buffer(offsets.astype(np.int32))]
    return pa.Array.from_buffers(pa.list_(values.type), len(lengths), buffers, children=[values])


def codes_of(*columns: pa.Array) -> list[Integers]:
    """Integers from 0 on that are equal if the values are, over all columns; null and NaN are values, -0.0 is 0.0."""
    together = pa.concat_arrays([_encodable(column) for column in columns])
    indices = pc.dictionary_encode(together, null_encoding="encode").indices
    codes = np.asarray(indices.fill_null(len(together)) if indices.null_count else indices).astype(np.int64)
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1])


def stable_codes_of(column: pa.Array) -> Integers:
    """Like `codes_of` for one column, but -0.0 and 0.0 are two values."""
    if pa.types.is_floating(column.type):
        is_negative_zero = pc.and_(pc.equal(column, 0), pc.equal(pc.divide(pa.scalar(1.0), column), -np.inf))
        codes = codes_of(column)[0]
        return np.where(np.asarray(pc.fill_null(is_negative_zero, False)), len(codes), codes)
    return codes_of(column)[0]


def first_of_each(keys: Integers) -> Integers:
    """Indices of the first occurrence of each distinct key, ascending."""
    return np.sort(np.unique(keys, return_index=True)[1])


def interleaved(lists: Sequence[Lists]) -> tuple[pa.Array, Integers]:
    """Values and lengths of each row's concatenated arrays. All must have the same type of values."""
    lengths = np.sum([part.lengths for part in lists], axis=0)
    starts = _offsets(lengths)[:-1].copy()
    order = np.empty(int(lengths.sum()), np.int64)
    behind = 0
    for part in lists:
        order[np.repeat(starts, part.lengths) + part.places] = np.arange(behind, behind + len(part.values))
        starts += part.lengths
        behind += len(part.values)
    return pa.concat_arrays([part.values for part in lists]).take(pa.array(order)), lengths


def _offsets(lengths: npt.NDArray[Any]) -> Integers:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _common_validity(columns: Sequence[pa.Array]) -> pa.Buffer | None:
    validities = [column for column in columns if column.null_count]
    if not validities:
        return None
    if len(validities) == 1:
        return validity_of(validities[0])
    valid = pc.is_valid(validities[0])
    for column in validities[1:]:
        valid = pc.and_(valid, pc.is_valid(column))
    return valid.buffers()[1]


def _encodable(column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        return _core.json_string(column)
    return pc.add(column, 0.0) if pa.types.is_floating(column.type) else column
