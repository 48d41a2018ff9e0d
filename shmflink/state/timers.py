"""Timers of keyed functions: one per (key, namespace, timestamp), fired in order of time.

Source: Flink's InternalTimerServiceImpl.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from shmflink.core.elements import Barrier
from shmflink.core.keys.groups import key_groups as assign_key_groups
from shmflink.state.arrow_form import TIMERS, GroupAssigner, StateForm, batch_to_entries
from shmflink.state.entries import ABSENT
from shmflink.state.frozen import FrozenState
from shmflink.state.heap_backend import load_entries
from shmflink.state.heap_table import HeapStateTable
from shmflink.state.namespaces import NO_NAMESPACES, NamespaceForm
from shmflink.state.protocol import Timer

__all__ = ["TimerQueue"]

_DELETED_MIN: Final = 1024  # deleted timers in the heap before it is cleaned


class TimerQueue:
    """Timers of one domain (event or processing time) of one operator and subtask.

    The timers are a state like any other: timer -> a number that grows with each registration. The heap is an index
    of it and is never saved. An item of the heap is valid if it has its timer's number.
    """

    def __init__(self, namespaces: NamespaceForm = NO_NAMESPACES) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._table = HeapStateTable()
        self._count = 0
        self._sequence = 0  # timers of one time fire in the order of their registration
        self._form = StateForm(TIMERS, "timers", "i64", namespaces=namespaces)

    def register(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Adds a timer unless it exists."""
        timer, table = (timestamp_ms, key, namespace), self._table
        number = table.live.get(timer)
        if number is None and table.below:
            number = table.old(timer)
        if number is None or number is ABSENT:
            self._sequence = number = self._sequence + 1
            self._count += 1
            table.live[timer] = number
            heapq.heappush(self._heap, (timestamp_ms, number, timer))

    def delete(self, timestamp_ms: int, key: Any, namespace: Any = None) -> None:
        """Removes a timer if it exists."""
        timer = (timestamp_ms, key, namespace)
        if self._number(timer):
            self._table.remove(timer)
            self._count -= 1
            if len(self._heap) > 2 * self._count + _DELETED_MIN:
                self._clean()

    @property
    def next_ms(self) -> int | None:
        """The time of the next timer; None without timers."""
        self._drop_deleted()
        return self._heap[0][0] if self._heap else None

    def due(self, now_ms: int) -> Iterator[Timer]:
        """Removes and yields the timers up to `now_ms` (inclusive).

        Timers registered in the meantime take their turn.
        """
        table = self._table
        while self._heap and self._heap[0][0] <= now_ms:
            _, number, timer = heapq.heappop(self._heap)
            if not table.below:
                if table.live.get(timer) != number:
                    continue
                del table.live[timer]
            elif table.get(timer) == number:
                table.live[timer] = ABSENT
            else:
                continue
            self._count -= 1
            yield timer

    def clear(self) -> None:
        """Drops all timers."""
        self._heap.clear()
        self._table.clear()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def freeze(
        self,
        name: str,
        barrier: Barrier,
        max_parallelism: int,
        key_groups: range,
        *,
        is_incremental: bool = True,
        assign: GroupAssigner = assign_key_groups,
    ) -> FrozenState:
        """All timers at a barrier, or those registered, deleted and fired since the previous one."""
        entries = self._table.freeze(is_savepoint=barrier.is_savepoint, is_incremental=is_incremental)
        return FrozenState(name, self._form, entries, max_parallelism, key_groups, assign=assign)

    def restore(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Adds timers; call it before the first is registered. Timers of one time and key keep their order."""
        for batch in batches:
            load_entries(self._table, batch_to_entries(batch))
        live = self._table.live
        self._heap = sorted(((timer[0], number, timer) for timer, number in live.items()), key=_by_time)
        self._heap = [(at_ms, number, timer) for number, (at_ms, _, timer) in enumerate(self._heap, 1)]
        live.update((timer, number) for _, number, timer in self._heap)
        self._sequence = self._count = len(live)

    def tidy(self) -> None:
        """Does work that snapshots left behind; called from time to time."""
        if self._table.is_untidy:
            self._table.tidy()

    def _number(self, timer: Timer) -> int:
        """The number of its registration, from 1; 0 if the timer does not exist."""
        table = self._table
        number = table.live.get(timer)
        if number is None:
            if not table.below:
                return 0
            number = table.old(timer)
        return number if type(number) is int else 0

    def _drop_deleted(self) -> None:
        heap = self._heap
        while heap and self._number(heap[0][2]) != heap[0][1]:
            heapq.heappop(heap)

    def _clean(self) -> None:
        """Drops deleted timers: functions that move a timer with each element would fill the heap."""
        self._heap = [item for item in self._heap if self._number(item[2]) == item[1]]
        heapq.heapify(self._heap)


def _by_time(item: tuple[int, int, Timer]) -> tuple[int, int]:
    return item[:2]
