"""Columns that arrive as dictionaries: functions are computed once per dictionary value, not once per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.expressions.registry import ScalarFunction, Values

__all__ = ["Encoded", "decoded", "encoded", "same_codes"]

_ROWS_PER_VALUE_MIN: Final = 2
"""With fewer rows per dictionary value than this, functions are computed on the rows."""


class Encoded:
    """A value for each row, out of few: `values[codes[row]]`. Codes are never null."""

    __slots__ = ("_decoded", "codes", "values")

    def __init__(self, values: pa.Array, codes: pa.Array) -> None:
        self.values = values
        self.codes = codes
        self._decoded: pa.Array | None = None

    def decoded(self) -> pa.Array:
        """One value for each row; computed once."""
        if self._decoded is None:
            self._decoded = pc.take(self.values, self.codes, boundscheck=False)
        return self._decoded

    def dictionary(self) -> pa.DictionaryArray:
        """The same as a dictionary. One of its values may be null."""
        return pa.DictionaryArray.from_arrays(self.codes, self.values, safe=False)

    def with_values(self, values: Values) -> Values:
        """The function's results for the values, for the same rows; a constant remains a constant."""
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        return Encoded(values, self.codes) if isinstance(values, pa.Array) else values


def encoded(column: pa.DictionaryArray) -> Encoded | pa.Array:
    """The column; decoded if it has nearly as many values as rows."""
    values, codes = column.dictionary, column.indices
    if len(values) * _ROWS_PER_VALUE_MIN > len(column):
        return column.dictionary_decode()
    if codes.null_count:
        # A function may map null to a value: null becomes one more dictionary value.
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
