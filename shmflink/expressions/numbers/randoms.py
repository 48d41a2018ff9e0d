"""Random numbers and identifiers. Each call of `rand()` in a program is a separate sequence."""

from __future__ import annotations

import itertools
import os
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.lazy_imports import pc
from shmflink.errors import TypeMismatchError
from shmflink.expressions.registry import TypeFamily, Values, function
from shmflink.expressions.vectors import as_int64, literal_value, text_columns

__all__ = ["RandomSequence"]

_UUID_BYTES: Final = 16
_UUID_LETTERS: Final = 36
_DASHES: Final = (8, 13, 18, 23)
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_numbers_of_calls = itertools.count()


class RandomSequence:
    """The sequence of a call of `rand`. Copies in other processes start again: from the seed, or with system entropy.

    Sequences with the same seed are equal; a sequence without a seed equals only itself.
    """

    __slots__ = ("_generator", "_seed", "_token")

    def __init__(self, seed: int | None, token: int) -> None:
        self._seed = seed
        self._token = token
        self._generator: np.random.Generator | None = None

    @classmethod
    def of(cls, seed: Any = None) -> RandomSequence:
        """The sequence of a seed, which is a constant; without one, a new sequence.

        Raises:
            TypeMismatchError: the seed is not a whole number.
        """
        value = literal_value(seed, "a seed")
        if value is not None and not isinstance(value, int):
            raise TypeMismatchError(f"a seed is an integer, got {value!r}")
        return cls(value, next(_numbers_of_calls) if value is None else 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return RandomSequence, (self._seed, self._token)

    def __repr__(self) -> str:
        return f"seed={self._seed}" if self._seed is not None else f"sequence={self._token}"

    def draw(self, rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """The next numbers: 0 <= number < 1."""
        if self._generator is None:
            self._generator = np.random.default_rng(self._seed)
        return self._generator.random(rows)


@function("rand", needs_rows=True)
def _rand(sequence: RandomSequence, rows: int) -> Values:
    return pa.array(sequence.draw(rows))


@function("rand_integer", TypeFamily.INTEGER, needs_rows=True)
def _rand_integer(bound: Values, sequence: RandomSequence, rows: int) -> Values:
    limit = as_int64(bound)
    numbers = pc.floor(pc.multiply(pa.array(sequence.draw(rows)), pc.cast(limit, pa.float64(), safe=False)))
    # The product may round up to the bound itself.
    drawn = pc.min_element_wise(pc.cast(numbers, pa.int64()), pc.subtract(limit, 1), skip_nulls=False)
    return pc.if_else(pc.greater(limit, 0), drawn, pa.scalar(None, pa.int64()))


@function("uuid", needs_rows=True)
def _uuid(_sequence: RandomSequence, rows: int) -> Values:
    raw = np.frombuffer(os.urandom(rows * _UUID_BYTES), np.uint8).reshape(rows, _UUID_BYTES).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40  # the version
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80  # the variant
    digits = np.stack([raw >> 4, raw & 0x0F], axis=2).reshape(rows, 2 * _UUID_BYTES)
    letters = np.full((rows, _UUID_LETTERS), ord("-"), np.uint8)
    letters[:, [i for i in range(_UUID_LETTERS) if i not in _DASHES]] = _HEX[digits]
    return text_columns(letters)
