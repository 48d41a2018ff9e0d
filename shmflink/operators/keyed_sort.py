"""The complete input of a keyed operator in batch mode: one key after another, each key's rows in order of time.

Source: Flink's MultiInputSortingDataInput. Rows are kept as columns in memory; beyond a limit they spill to unnamed
files, one per part of the key groups, and are read back part by part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS
from shmflink.core.keys.columns import decode_keys
from shmflink.core.keys.groups import key_groups
from shmflink.core.lazy_imports import pc
from shmflink.core.plain_columns import taken
from shmflink.core.types.typeinfo import TypeInformation

__all__ = ["KeyedSort", "owned_batch"]

MEMORY_BYTES_MAX: Final = 64 << 20
_PARTS: Final = 32
_HASH_PARALLELISM: Final = 1 << 12

_Kept = tuple[int, Batch]


class KeyedSort:
    """Takes batches of several inputs; yields (key, [(input, batch of that key), ...]) when all have arrived."""

    def __init__(self, memory_bytes_max: int = MEMORY_BYTES_MAX) -> None:
        self._memory_bytes_max = memory_bytes_max
        self._kept: list[_Kept] = []
        self._bytes = 0
        self._parts: list[IO[bytes]] = []
        self._types: dict[int, TypeInformation | None] = {}

    def add(self, batch: Batch, input_index: int = 0) -> None:
        """Stores a copy of the rows."""
        assert batch.keys is not None, "a keyed operator got a batch without keys"
        self._types[input_index] = batch.row_type
        owned = owned_batch(batch)
        self._kept.append((input_index, owned))
        self._bytes += owned.columns().nbytes
        if self._bytes > self._memory_bytes_max:
            self._spill()

    def groups(self) -> Iterator[tuple[Any, list[_Kept]]]:
        """Every key with its rows, sorted by timestamp, then by arrival."""
        if not self._parts:
            yield from _by_key(self._kept)
            return
        self._spill()
        for part in self._parts:
            yield from _by_key(list(self._read(part)))

    def close(self) -> None:
        """Frees memory and files."""
        self._kept.clear()
        for part in self._parts:
            part.close()
        self._parts.clear()

    def _spill(self) -> None:
        if not self._parts:
            import tempfile

            self._parts = [tempfile.TemporaryFile() for _ in range(_PARTS)]  # noqa: SIM115 - closed by close()
        kept, self._kept, self._bytes = self._kept, [], 0
        for input_index, batch in kept:
            groups = np.asarray(key_groups(batch.keys, _HASH_PARALLELISM)) % _PARTS
            wire = batch.to_wire()
            for part in np.unique(groups).tolist():
                _write(self._parts[part], input_index, taken(wire, pa.array(np.flatnonzero(groups == part))))

    def _read(self, part: IO[bytes]) -> Iterator[_Kept]:
        part.seek(0)
        while header := part.read(16):
            input_index, length = np.frombuffer(header, np.int64).tolist()
            with pa.ipc.open_stream(part.read(length)) as stream:
                yield input_index, Batch.from_wire(stream.read_next_batch(), self._types[input_index])


def owned_batch(batch: Batch) -> Batch:
    """A copy, because the batch may be in a shared segment, which must be returned."""
    with pa.ipc.open_stream(_bytes_of(batch.to_wire())) as stream:
        return Batch.from_wire(stream.read_next_batch(), batch.row_type)


def _bytes_of(wire: pa.RecordBatch) -> pa.Buffer:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, wire.schema) as stream:
        stream.write_batch(wire)
    return out.getvalue()


def _write(file: IO[bytes], input_index: int, wire: pa.RecordBatch) -> None:
    data = _bytes_of(wire)
    file.seek(0, 2)
    file.write(np.array([input_index, data.size], np.int64).tobytes())
    file.write(data)


def _by_key(kept: list[_Kept]) -> Iterator[tuple[Any, list[_Kept]]]:
    if not kept:
        return
    keys: list[Any] = []
    for _, batch in kept:
        keys += decode_keys(batch.keys)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    number_of = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    stamps = np.concatenate([_stamps(batch) for _, batch in kept])
    owner = np.repeat(np.arange(len(kept)), [batch.num_rows for _, batch in kept])
    row = np.concatenate([np.arange(batch.num_rows) for _, batch in kept])
    order = np.lexsort((stamps, number_of))  # stable: rows of equal times stay in order of arrival
    starts = np.flatnonzero(np.diff(number_of[order], prepend=-1))
    for key, indices in zip(numbers, np.split(order, starts[1:]), strict=True):
        yield key, list(_runs(kept, owner[indices], row[indices]))


def _runs(kept: list[_Kept], owner: Any, row: Any) -> Iterator[_Kept]:
    """Merges adjacent rows of one batch into one batch."""
    borders = np.flatnonzero(np.diff(owner)) + 1
    for owners, rows in zip(np.split(owner, borders), np.split(row, borders), strict=True):
        input_index, batch = kept[int(owners[0])]
        wire = taken(batch.to_wire(), pa.array(rows))
        yield input_index, Batch.from_wire(wire, batch.row_type)


def _stamps(batch: Batch) -> Any:
    if batch.timestamps is None:
        return np.full(batch.num_rows, MIN_TIMESTAMP_MS, np.int64)
    return pc.fill_null(batch.timestamps, MIN_TIMESTAMP_MS).to_numpy(zero_copy_only=False)
