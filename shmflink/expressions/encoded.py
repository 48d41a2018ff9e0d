"""Columns that arrive as dictionaries: what is computed of one is computed once for each of its values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.registry import ScalarFunction, Values

__all__ = ["Encoded", "decoded", "encoded", "same_codes"]

_ROWS_PER_VALUE_MIN: Final = 2
"""Fewer rows for each value of the dictionary: the rows are looked at one by one."""


class Encoded:
    """Values for all rows, each of which is one of few: `values[codes[row]]`. Codes are never null."""

    __slots__ = ("_decoded", "codes", "values")

    def __init__(self, values: pa.Array, codes: pa.Array) -> None:
        self.values = values
        self.codes = codes
        self._decoded: pa.Array | None = None

    def decoded(self) -> pa.Array:
        """One value for each row; made once."""
        if self._decoded is None:
            self._decoded = pc.take(self.values, self.codes, boundscheck=False)
        return self._decoded

    def with_values(self, values: Values) -> Values:
        """What a function made of the values: for the same rows; a constant stays one."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        return Encoded(values, self.codes) if isinstance(values, pa.Array) else values


def encoded(column: pa.DictionaryArray) -> Encoded | pa.Array:
    """The column; its values one by one where it has nearly as many as rows."""
    values, codes = column.dictionary, column.indices
    if len(values) * _ROWS_PER_VALUE_MIN > len(column):
        return column.dictionary_decode()
    if codes.null_count:
        # A function may make something of null, too: it becomes one more value.
        codes = pc.fill_null(codes, len(values))
        values = pa.concat_arrays([values, pa.nulls(1, values.type)])
    return Encoded(values, codes)


def decoded(value: Values) -> Values:
    """A constant or an array."""
    return value.decoded() if isinstance(value, Encoded) else value


def same_codes(function: ScalarFunction, inputs: Sequence[Values]) -> Encoded | None:
    """One of the inputs if the function can be computed on values instead of rows: all others are constants, or have
    the same codes.
    """
    if function.needs_rows or not function.is_deterministic:
        return None
    found: Encoded | None = None
    for value in inputs:
        if isinstance(value, Encoded) and (found is None or value.codes is found.codes):
            found = value
        elif not isinstance(value, pa.Scalar):
            return None
    return found
