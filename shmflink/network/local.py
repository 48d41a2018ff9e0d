"""The in-process mechanism of the channel contract: batches by reference, credits counted in batches.

Both ends live in one slot's thread, so there is nothing to lock and nothing to wake: the end that runs next sees
the element. It is also the simple model against which the shared-memory mechanism is tested.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.elements import ControlElement, Element, Watermark
from shmflink.core.keys.columns import key_values
from shmflink.core.plain_columns import taken
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.errors import InternalError, UsageError

__all__ = [
    "CREDITS_DEFAULT",
    "BroadcastSelector",
    "ChannelSelector",
    "CustomSelector",
    "KeyGroupSelector",
    "LocalChannel",
    "LocalDoorbell",
    "LocalInputGate",
    "LocalResultPartition",
    "RoundRobinSelector",
    "ShuffleSelector",
    "SingleSelector",
]

CREDITS_DEFAULT: Final = 2  # batches in flight on one channel

ChannelSelector = Callable[[Batch, int], np.ndarray[Any, Any] | int | None]
"""(batch, number of channels) -> the channel of each row; an int = all rows to that channel; None = all rows
to every channel.
"""


class LocalChannel:
    """First in, first out; a data batch needs a credit, which returns when the batch is polled."""

    __slots__ = ("credits", "queue")

    def __init__(self, credits: int = CREDITS_DEFAULT) -> None:  # noqa: A002 - the field's word
        assert credits >= 1, credits
        self.credits = credits
        self.queue: deque[Element] = deque()

    def try_push(self, batch: Batch) -> bool:
        """False without credit."""
        if not self.credits:
            return False
        self.credits -= 1
        self.queue.append(batch)
        return True

    def push_control(self, element: ControlElement) -> None:
        """Needs no credit. A watermark replaces a waiting one that is last in the queue, so the queue stays
        bounded.
        """
        queue = self.queue
        if type(element) is Watermark and queue and type(queue[-1]) is Watermark:
            queue[-1] = element
        else:
            queue.append(element)

    def pop(self) -> Element | None:
        """The next element, returning its credit."""
        if not self.queue:
            return None
        element = self.queue.popleft()
        if isinstance(element, Batch):
            self.credits += 1
        return element


class LocalResultPartition:
    """`ResultPartition` over local channels."""

    def __init__(
        self, channels: Sequence[LocalChannel], selector: ChannelSelector, *, reuses_objects: bool = False
    ) -> None:
        """`reuses_objects`: all channels of a broadcast get the same objects."""
        assert channels, "a result partition has at least one channel"
        self._channels = list(channels)
        self._selector = selector
        self._copy: Callable[[Batch], Batch] = _same if reuses_objects else Batch.isolated
        self._suspended: deque[tuple[int, Batch]] = deque()

    def write(self, batch: Batch) -> bool:
        assert not self._suspended, "write() while an earlier write is suspended"
        if batch.num_rows:
            self._suspended.extend(self._parts(batch))
        return self.resume()

    def resume(self) -> bool:
        """Places every part for which there is credit; the others keep their order."""
        if not self._suspended:
            return True
        channels = self._channels
        self._suspended = deque(part for part in self._suspended if not channels[part[0]].try_push(part[1]))
        return not self._suspended

    def flush(self) -> None:
        """Does nothing: a batch is passed on as soon as it is written."""

    def emit(self, element: ControlElement) -> bool:
        assert not self._suspended, "emit() while a write is suspended"
        for channel in self._channels:
            channel.push_control(element)
        return True

    @property
    def is_blocked(self) -> bool:
        return bool(self._suspended) and all(not self._channels[i].credits for i, _ in self._suspended)

    @property
    def has_pending(self) -> bool:
        return False

    @property
    def bytes_out(self) -> int:
        return 0

    def close(self) -> None:
        self._suspended.clear()

    def _parts(self, batch: Batch) -> list[tuple[int, Batch]]:
        """The batch split by channel, in channel order; at most one part per channel."""
        chosen = self._selector(batch, len(self._channels))
        if chosen is None:
            others = [(channel, self._copy(batch)) for channel in range(1, len(self._channels))]
            return [(0, batch), *others]
        if isinstance(chosen, int):
            return [(chosen, batch)]
        assert len(chosen) == batch.num_rows, (len(chosen), batch.num_rows)
        first = int(chosen[0])
        if (chosen == first).all():
            return [(first, batch)]
        order = np.argsort(chosen, kind="stable")
        channels, starts = np.unique(chosen[order], return_index=True)
        parts = np.split(order, starts[1:])
        return [(channel, _take(batch, part)) for channel, part in zip(channels.tolist(), parts, strict=True)]


class LocalInputGate:
    """`InputGate` over local channels; polls them in turn."""

    def __init__(self, channels: Sequence[LocalChannel], row_type: TypeInformation | None = None) -> None:
        self._channels = list(channels)
        self.row_type = row_type
        self._blocked = [False] * len(self._channels)
        self._next = 0

    def poll(self, *, is_ahead: bool = False) -> tuple[int, Element] | None:
        count = len(self._channels)
        for step in range(count):
            index = (self._next + step) % count
            if not self._blocked[index]:
                element = self._channels[index].pop()
                if element is not None:
                    self._next = index + 1
                    return index, element.with_row_type(self.row_type) if isinstance(element, Batch) else element
        return None

    def block(self, channel: int) -> None:
        self._blocked[channel] = True

    def unblock(self, channel: int) -> None:
        self._blocked[channel] = False

    @property
    def is_available(self) -> bool:
        return any(c.queue and not blocked for c, blocked in zip(self._channels, self._blocked, strict=True))

    @property
    def num_channels(self) -> int:
        return len(self._channels)

    @property
    def bytes_in(self) -> int:
        return 0

    @property
    def retained_copies(self) -> int:
        return 0

    def close(self) -> None:
        for channel in self._channels:
            channel.queue.clear()


class LocalDoorbell:
    """`Doorbell` within one process: an eventcount on a condition variable. `spin_ns` is ignored."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    def prepare(self) -> int:
        return self._rings

    def wait(self, token: int, timeout_ns: int, spin_ns: int = 0) -> bool:
        timeout = None if timeout_ns < 0 else timeout_ns / 1e9
        with self._condition:
            return self._condition.wait_for(lambda: self._rings != token, timeout)

    def ring(self) -> None:
        with self._condition:
            self._rings += 1
            self._condition.notify_all()


class SingleSelector:
    """Everything to channel 0: GLOBAL, and any edge with one channel."""

    def __call__(self, batch: Batch, count: int) -> int:
        return 0


class BroadcastSelector:
    """Every row to every channel."""

    def __call__(self, batch: Batch, count: int) -> None:
        return None


class RoundRobinSelector:
    """REBALANCE, RESCALE, and FORWARD to several channels: rows in turn; each subtask starts at another channel."""

    def __init__(self, start: int = 0) -> None:
        self._next = start

    def __call__(self, batch: Batch, count: int) -> np.ndarray[Any, Any]:
        first = self._next % count
        self._next = (first + batch.num_rows) % count
        return np.arange(first, first + batch.num_rows) % count


class ShuffleSelector:
    """SHUFFLE: rows to random channels, reproducible by seed."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)

    def __call__(self, batch: Batch, count: int) -> np.ndarray[Any, Any]:
        return self._random.integers(0, count, batch.num_rows)


class KeyGroupSelector:
    """HASH: rows to the owner of their key's key group."""

    def __init__(
        self,
        assign: Callable[[Sequence[pa.Array], int, int], np.ndarray[Any, Any]],
        max_parallelism: int,
        key_columns: Sequence[str] = (),
    ) -> None:
        """`assign(key columns, max parallelism, number of channels)` gives the channel of each key.

        `key_columns` name the columns that form the key; without them, the key is the batch's hidden keys.
        """
        self._assign = assign
        self._max_parallelism = max_parallelism
        self._key_columns = tuple(key_columns)

    def __call__(self, batch: Batch, count: int) -> np.ndarray[Any, Any]:
        return self._assign(self._keys(batch), self._max_parallelism, count)

    def _keys(self, batch: Batch) -> list[pa.Array]:
        if self._key_columns:
            columns = batch.columns()
            keys = [columns.column(name) for name in self._key_columns]
            # A large_binary array means canonical key bytes; a user's column never has this type.
            return [key.cast(pa.binary()) if key.type == pa.large_binary() else key for key in keys]
        if batch.keys is None:
            raise InternalError("a batch without keys reached a keyed edge")
        return [batch.keys]


class CustomSelector:
    """CUSTOM: the user's `(key, number of partitions) -> index`, per row."""

    def __init__(self, partitioner: Callable[[Any, int], int]) -> None:
        self._partitioner = partitioner

    def __call__(self, batch: Batch, count: int) -> np.ndarray[Any, Any]:
        if batch.keys is None:
            raise InternalError("a batch without keys reached an edge with a custom partitioner")
        partition = self._partitioner
        chosen = [partition(key, count) for key in key_values(batch.keys)]  # per row: the user's own function
        for key, index in zip(key_values(batch.keys), chosen, strict=True):
            if not isinstance(index, int) or not 0 <= index < count:
                raise UsageError(
                    f"partition_custom(): the partitioner returned {index!r} for the key {key!r}; it must return an "
                    f"index from 0 to {count - 1}"
                )
        return np.asarray(chosen, dtype=np.int64)


def _same(batch: Batch) -> Batch:
    return batch


def _take(batch: Batch, indices: np.ndarray[Any, Any]) -> Batch:
    """These rows of a batch, in its form."""
    picked = pa.array(indices)
    if batch.is_columnar:
        return Batch.from_wire(taken(batch.to_wire(), picked), batch.row_type)
    rows = batch.rows()
    return Batch.of_rows(
        [rows[index] for index in indices.tolist()],
        batch.row_type,
        timestamps=None if batch.timestamps is None else batch.timestamps.take(picked),
        keys=None if batch.keys is None else batch.keys.take(picked),
    )
