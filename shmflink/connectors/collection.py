"""A source of the elements of a Python collection."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from shmflink.connectors.base import Poll, Source, SourceReader, Split, SplitEnumerator
from shmflink.connectors.split_queue import SplitQueue
from shmflink.connectors.split_reader import SplitCursor, SplitReader
from shmflink.core.batch import Batch
from shmflink.core.isolation import ISOLATION
from shmflink.core.rows import codec_of
from shmflink.core.serialization.codec import dumps_value, loads_value
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.operators.base import OperatorContext

__all__ = ["SLICE_ROWS", "CollectionSource"]

SLICE_ROWS: Final = 8192
"""Rows of one slice, which becomes one batch."""


class CollectionSource(Source):
    """The elements of a collection, in order, by one reader.

    The program serializes the elements, in slices. With a declared type they become columns (and are cast to the type;
    ints wrap to its width, as in Flink). Otherwise they are pickled, so that they come out unchanged.
    """

    gives_timestamps = False
    split_payloads = (int,)

    def __init__(self, items: Iterable[Any], type_info: TypeInformation | None = None) -> None:
        """Raises TypeMismatchError or SerializationError for an element that cannot be serialized."""
        self._type = type_info
        elements = iter(items)
        self._slices: list[bytes] = []
        while rows := list(islice(elements, SLICE_ROWS)):
            self._slices.append(dumps_value(rows) if type_info is None else _to_ipc(_columns_of(rows, type_info)))

    def items(self) -> list[Any]:
        """The elements, cast to their type."""
        cursor = _SliceCursor(Split("0", 0), self._slices, self._type)
        batches = iter(cursor.next_batch, None)
        return [row for batch in batches if isinstance(batch, Batch) for row in batch.rows()]

    def create_enumerator(self, parallelism: int, state: Any = None) -> SplitEnumerator:
        return SplitQueue(state if state is not None else (Split("0", 0),))

    def create_reader(self, context: OperatorContext) -> SourceReader:
        return SplitReader(lambda split: _SliceCursor(split, self._slices, self._type))

    @property
    def produced_type(self) -> TypeInformation | None:
        return self._type

    @property
    def fixed_parallelism(self) -> int | None:
        return 1


class _SliceCursor(SplitCursor):
    """`payload` of the split is the index of the next slice."""

    def __init__(self, split: Split, slices: list[bytes], row_type: TypeInformation | None) -> None:
        self._split_id = split.split_id
        self._next: int = split.payload
        self._slices = slices
        self._type = row_type

    def next_batch(self) -> Batch | Poll | None:
        if self._next == len(self._slices):
            return None
        data = self._slices[self._next]
        self._next += 1
        if self._type is None:
            # An object that is in the collection twice is two records.
            return Batch.of_rows(ISOLATION.owned_items(loads_value(data)))
        with pa.ipc.open_stream(data) as stream:
            return Batch.of_columns(stream.read_next_batch(), self._type)

    def remaining(self) -> Split:
        return Split(self._split_id, self._next)


def _columns_of(rows: list[Any], declared: TypeInformation) -> pa.RecordBatch:
    codec = codec_of(declared.shape)
    columns = codec.try_encode(rows)
    return codec.encode(codec.narrow(rows)) if columns is None else columns


def _to_ipc(columns: pa.RecordBatch) -> bytes:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, columns.schema) as stream:
        stream.write_batch(columns)
    return bytes(out.getvalue().to_pybytes())
