"""Extracts the keys of rows, in the task that produces them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shmflink.core.batch import Batch
from shmflink.core.keys.columns import encode_keys
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import TypeMismatchError
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.functions.record_outputs import isolation_of, results_of
from shmflink.operators.functions.user_function import UserFunction, shorten_record
from shmflink.operators.slices import slices_of

__all__ = ["KeyExtractor"]


class KeyExtractor(Operator):
    """Sets `Batch.keys` from `selector`; rows, columns and timestamps stay. With `key_type`, casts keys to
    it.
    """

    is_per_record = True

    def __init__(self, selector: Any, key_type: TypeInformation | None = None) -> None:
        self._selector = UserFunction(selector, "get_key")
        self._key_type = key_type

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        self._isolation = isolation_of(context)
        self._selector.open(context)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        for piece in slices_of(batch):
            yield from self._process(piece)

    def _process(self, batch: Batch) -> Iterator[Batch]:
        rows = batch.rows()
        iterator = iter(rows)
        try:
            keys = results_of(self._selector.call, rows, iterator, self._isolation, "get_key")
        except Exception as error:
            self._selector.fail_at(error, rows, iterator)
        try:
            column = encode_keys(keys, self._key_type)
        except TypeMismatchError as error:
            raise self._bad_key(keys, rows) or TypeMismatchError(f"operator '{self._name}': {error}") from None
        yield batch.with_keys(column)

    def _bad_key(self, keys: list[Any], rows: list[Any]) -> TypeMismatchError | None:
        """The error to raise: the first value that cannot be a key, with its record."""
        for key, row in zip(keys, rows, strict=True):
            try:
                encode_keys([key], self._key_type)
            except TypeMismatchError as error:
                reason = str(error).removeprefix("key of record 0 of the batch: ")
                return TypeMismatchError(f"operator '{self._name}': {reason}\nrecord: {shorten_record(row)}")
        return None

    def close(self) -> None:
        self._selector.close()
