"""The shared-memory mechanism of the channel contract: batches in segments, written by the native core.

Producer and consumer are threads of any two processes. `_native/src/transport` describes what they share,
`_native/src/exchange` the layout of a batch. Polled batches are views of segments: do not keep them beyond the call.
A consumer that does keep them never stalls its producer: further batches are copied, and one warning is logged.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from shmflink import _core
from shmflink.core.batch import KEY_COLUMN, Batch
from shmflink.core.elements import (
    Barrier,
    ControlElement,
    Element,
    EndOfData,
    LatencyMarker,
    Watermark,
    WatermarkStatus,
)
from shmflink.core.keys.columns import key_values
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import CorruptChannelError, InternalError, UsageError

__all__ = [
    "FLOATING_DEFAULT",
    "SharedMemoryInputGate",
    "SharedMemoryResultPartition",
    "control_words",
    "element_of_words",
]

FLOATING_DEFAULT: Final = 8  # credits that the channels of a gate share, as in Flink
EXCLUSIVE_DEFAULT: Final = 2

# Kinds of control elements on the wire (`exchange/wire.rs` has the same numbers).
_WATERMARK: Final = 1
_STATUS: Final = 2
_BARRIER: Final = 3
_END_OF_DATA: Final = 4
_LATENCY: Final = 5

_log = logging.getLogger(__name__)


class SharedMemoryResultPartition:
    """`ResultPartition` over shared-memory channels.

    `strategy` is the name of a `ShipStrategy`. HASH uses the batch's keys, or `key_columns` if given. CUSTOM calls
    `partitioner`, the user's `(key, number of channels) -> index`, once per row.
    """

    def __init__(
        self,
        arena: _core.Arena,
        channels: Sequence[tuple[_core.RingMemory, int, _core.Doorbell]],
        *,
        strategy: str,
        exclusive: int = EXCLUSIVE_DEFAULT,
        max_parallelism: int = 128,
        partitioner: Callable[[Any, int], int] | None = None,
        seed: int = 0,
        key_columns: Sequence[str] = (),
    ) -> None:
        assert (partitioner is not None) == (strategy == "CUSTOM"), strategy
        self._native = _core.ResultPartition(
            arena,
            list(channels),
            strategy=strategy,
            exclusive=exclusive,
            max_parallelism=max_parallelism,
            key_columns=list(key_columns) or [KEY_COLUMN],
            seed=seed,
        )
        self._partitioner = partitioner
        self._needs_keys = strategy == "CUSTOM" or (strategy == "HASH" and not key_columns)
        self._channels = len(channels)

    def write(self, batch: Batch) -> bool:
        if self._needs_keys and batch.keys is None:
            raise InternalError("a batch without keys reached a keyed edge")
        targets = None if self._partitioner is None else self._targets(self._partitioner, batch)
        return self._native.write(batch.to_wire(), targets)

    def resume(self) -> bool:
        return self._native.resume()

    def flush(self) -> None:
        self._native.flush()

    def emit(self, element: ControlElement) -> bool:
        return self._native.emit_control(*control_words(element))

    @property
    def is_blocked(self) -> bool:
        return self._native.is_blocked

    @property
    def has_pending(self) -> bool:
        return self._native.has_pending

    @property
    def rows_out(self) -> int:
        """Rows shipped; a broadcast row counts once per channel."""
        return self._native.rows_out

    @property
    def bytes_out(self) -> int:
        """Bytes of the segments shipped."""
        return self._native.bytes_out

    def close(self) -> None:
        self._native.close()

    def _targets(self, partitioner: Callable[[Any, int], int], batch: Batch) -> pa.Int32Array:
        keys, count = key_values(batch.keys), self._channels
        chosen = [partitioner(key, count) for key in keys]  # per row: the user's own function
        for key, index in zip(keys, chosen, strict=True):
            if not isinstance(index, int) or not 0 <= index < count:
                raise UsageError(
                    f"partition_custom(): the partitioner returned {index!r} for the key {key!r}; it must return an "
                    f"index from 0 to {count - 1}"
                )
        return pa.array(chosen, pa.int32())


class SharedMemoryInputGate:
    """`InputGate` over shared-memory channels: (ring of `ring_memory`, the producer's arena, its slot's doorbell)."""

    def __init__(
        self,
        ring_memory: _core.RingMemory,
        channels: Sequence[tuple[int, _core.Arena, _core.Doorbell]],
        *,
        exclusive: int = EXCLUSIVE_DEFAULT,
        floating: int = FLOATING_DEFAULT,
        row_type: TypeInformation | None = None,
        name: str = "an input gate",
    ) -> None:
        """`name` is the reader's name in messages."""
        self._native = _core.InputGate(ring_memory, list(channels), exclusive=exclusive, floating=floating)
        self.row_type = row_type
        self._name = name
        self._has_warned = False
        self._copies_ahead = 0  # made because of the batch that is being processed, which nobody retains

    def poll(self, *, is_ahead: bool = False) -> tuple[int, Element] | None:
        copies = self._native.retained_copies if is_ahead else 0
        polled = self._native.poll()
        if is_ahead:
            self._copies_ahead += self._native.retained_copies - copies
        if polled is None:
            return None
        if len(polled) == 2:
            if not self._has_warned and self._native.retained_copies > self._copies_ahead:
                self._warn()
            return polled[0], Batch.from_wire(polled[1], self.row_type)
        return polled[0], element_of_words(*polled[1:])

    def block(self, channel: int) -> None:
        self._native.block(channel)

    def unblock(self, channel: int) -> None:
        self._native.unblock(channel)

    @property
    def is_available(self) -> bool:
        return self._native.is_available

    @property
    def num_channels(self) -> int:
        return self._native.num_channels

    @property
    def rows_in(self) -> int:
        return self._native.rows_in

    @property
    def bytes_in(self) -> int:
        return self._native.bytes_in

    @property
    def retained_copies(self) -> int:
        """Batches that were copied because their consumer retains earlier ones."""
        return self._native.retained_copies - self._copies_ahead

    def close(self) -> None:
        self._native.close()

    def _warn(self) -> None:
        self._has_warned = True
        _log.warning(
            "%s keeps received batches in shared memory; new ones are now copied, so that its producers do not stall. "
            "A function that keeps a batch, a slice or an array of it after it returns should keep a copy instead",
            self._name,
        )


def control_words(element: ControlElement) -> tuple[int, int, int, int]:
    """A control element in transit: kind and three words."""
    match element:
        case Watermark(timestamp_ms):
            return _WATERMARK, timestamp_ms, 0, 0
        case WatermarkStatus(idle):
            return _STATUS, int(idle), 0, 0
        case Barrier(checkpoint_id, timestamp_ms, kind):
            return _BARRIER, checkpoint_id, timestamp_ms, kind
        case EndOfData(drained):
            return _END_OF_DATA, int(drained), 0, 0
        case LatencyMarker(source_id, emitted_ns):
            return _LATENCY, source_id, emitted_ns, 0


def element_of_words(kind: int, a: int, b: int, c: int) -> ControlElement:
    """The inverse of `control_words`.

    Raises:
        CorruptChannelError: unknown kind.
    """
    match kind:
        case 1:
            return Watermark(a)
        case 2:
            return WatermarkStatus(bool(a))
        case 3:
            return Barrier(a, b, c)
        case 4:
            return EndOfData(bool(a))
        case 5:
            return LatencyMarker(a, b)
    raise CorruptChannelError(f"a control element of kind {kind} ({a}, {b}, {c})")
