"""Timers of keyed functions: one per (key, namespace, timestamp), fired in order of time.

Source: Flink's InternalTimerServiceImpl.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from shmflink.core.key_groups import key_groups as assign_key_groups
from shmflink.core.keys import decode_keys, encode_keys
from shmflink.state.hashable_keys import keys_of_hashables

__all__ = ["Timer", "TimerQueue", "TimerSnapshot"]

Timer = tuple[int, Any, Any]
"""(timestamp in ms, key as `core.keys.decode_keys` gives it, namespace)."""


@dataclass(frozen=True, slots=True)
class TimerPart:
    """The timers of one key group; an entry for each position of all three."""

    timestamps: list[int]
    keys: pa.Array
    namespaces: list[Any]


TimerSnapshot = dict[int, TimerPart]
"""Key group -> its timers."""


class TimerQueue:
    """Timers of one domain (event or processing time) of one operator and subtask."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._alive: set[Timer] = set()
        self._sequence = 0  # timers of one time fire in the order in which they were registered

    def register(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Adds a timer; nothing where it is there already."""
        timer = (timestamp_ms, key, namespace)
        if timer not in self._alive:
            self._alive.add(timer)
            self._sequence += 1
            heapq.heappush(self._heap, (timestamp_ms, self._sequence, timer))

    def delete(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Removes a timer, where it is there."""
        self._alive.discard((timestamp_ms, key, namespace))

    @property
    def next_ms(self) -> int | None:
        """When the next timer is due; None without timers."""
        self._drop_deleted()
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> Iterator[Timer]:
        """Takes out the timers up to `now_ms` (inclusive), one by one.

        Timers that are registered meanwhile come in their turn.
        """
        while True:
            self._drop_deleted()
            if not self._heap or self._heap[0][0] > now_ms:
                return
            timer = heapq.heappop(self._heap)[2]
            self._alive.discard(timer)
            yield timer

    def clear(self) -> None:
        """Forgets all timers."""
        self._heap.clear()
        self._alive.clear()

    def __len__(self) -> int:
        return len(self._alive)

    def snapshot(
        self, max_parallelism: int, assign: Callable[[pa.Array, int], np.ndarray[Any, Any]] = assign_key_groups
    ) -> TimerSnapshot:
        """All timers by key group, in order of time."""
        timers = [timer for _, _, timer in sorted(self._heap, key=lambda one: one[:2]) if timer in self._alive]
        if not timers:
            return {}
        keys = encode_keys(keys_of_hashables([key for _, key, _ in timers]))
        groups = np.asarray(assign(keys, max_parallelism), dtype=np.int64)
        return {
            int(group): _part([timers[i] for i in indices], keys.take(pa.array(indices)))
            for group in np.unique(groups)
            for indices in [np.flatnonzero(groups == group).tolist()]
        }

    def restore(self, snapshot: TimerSnapshot, key_groups: Iterable[int]) -> None:
        """Adds the timers of these key groups."""
        for group in key_groups:
            part = snapshot.get(group)
            if part is not None:
                keys = decode_keys(part.keys)
                for timestamp_ms, key, namespace in zip(part.timestamps, keys, part.namespaces, strict=True):
                    self.register(timestamp_ms, key, namespace)

    def _drop_deleted(self) -> None:
        heap, alive = self._heap, self._alive
        while heap and heap[0][2] not in alive:
            heapq.heappop(heap)


def _part(timers: list[Timer], keys: pa.Array) -> TimerPart:
    return TimerPart([timestamp for timestamp, _, _ in timers], keys, [namespace for _, _, namespace in timers])
