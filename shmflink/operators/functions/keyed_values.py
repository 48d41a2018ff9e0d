"""The rows of a keyed stream for operators that do not work by key (PyFlink: `_keyed_stream_values_operator`)."""

from __future__ import annotations

from collections.abc import Iterator

from shmflink.core.batch import Batch
from shmflink.operators.base import Operator

__all__ = ["KeyedValuesOperator"]


class KeyedValuesOperator(Operator):
    """Passes batches on without their keys; rows, columns and timestamps stay."""

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        yield batch.without_keys()
