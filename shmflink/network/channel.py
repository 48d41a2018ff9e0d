"""The contract between subtasks. Mechanisms: `local` (one slot, by reference), `shared_memory` (the native core).

A *channel* leads from one producing subtask to one consuming subtask, first in first out. The producing task holds a
`ResultPartition` (all its channels of one edge), the consuming task an `InputGate` (all its channels of one input).
Neither end ever blocks: an operation that cannot proceed returns at once, and the slot sleeps on its doorbell.
One conformance suite (`tests/conformance/`) runs against each mechanism.
"""

from __future__ import annotations

from typing import Protocol

from shmflink.core.batch import Batch
from shmflink.core.elements import ControlElement, Element
from shmflink.core.types.typeinfo import TypeInformation

__all__ = ["Doorbell", "InputGate", "ResultPartition"]


class ResultPartition(Protocol):
    """Producing end of one edge. Only the slot's thread uses it."""

    def write(self, batch: Batch) -> bool:
        """Takes ownership of the batch and passes on as many rows as there is credit for.

        True: all rows were placed (shipped, or in the open segment of their channel). False: some channel has no
        credit left; the partition keeps a cursor, and `resume` must return True before the next `write` or `emit`.
        """
        ...

    def resume(self) -> bool:
        """Continues a suspended `write` or `emit`; True when nothing is suspended any longer."""
        ...

    def flush(self) -> None:
        """Ships every open segment now; never waits, because an open segment already holds its credit."""
        ...

    def emit(self, element: ControlElement) -> bool:
        """Sends a control element to every channel, after the rows written so far and before any later one.

        Needs no credit. A watermark that finds a control slot taken replaces the waiting one; other elements may
        return False, as `write` does.
        """
        ...

    @property
    def is_blocked(self) -> bool:
        """True while a `write` or `emit` is suspended and cannot proceed yet."""
        ...

    @property
    def has_pending(self) -> bool:
        """True when open segments hold rows that `flush` would ship."""
        ...

    @property
    def bytes_out(self) -> int:
        """Bytes of the segments shipped so far; 0 if batches are passed by reference."""
        ...

    def close(self) -> None:
        """Abandons the edge: frees what this end owns. Loses nothing after `emit(EndOfData)`. Idempotent."""
        ...


class InputGate(Protocol):
    """Consuming end of one input. Only the slot's thread uses it."""

    def poll(self, *, is_ahead: bool = False) -> tuple[int, Element] | None:
        """The next element and the index of its channel, or None if there is none; fair between channels.

        `is_ahead`: the caller takes it before its turn, while a batch before it is still being processed.
        """
        ...

    def block(self, channel: int) -> None:
        """Stops polling this channel (barrier alignment) until `unblock`."""
        ...

    def unblock(self, channel: int) -> None: ...

    @property
    def is_available(self) -> bool:
        """True when `poll` would return an element."""
        ...

    @property
    def num_channels(self) -> int: ...

    @property
    def bytes_in(self) -> int:
        """Bytes of the segments received so far; 0 if batches are passed by reference."""
        ...

    @property
    def retained_copies(self) -> int:
        """Batches that were copied because their consumer retains earlier ones."""
        ...

    @property
    def row_type(self) -> TypeInformation | None:
        """The declared type of the rows, which the polled batches carry."""
        ...

    def close(self) -> None:
        """Frees what this end owns. Batches handed out stay valid. Idempotent."""
        ...


class Doorbell(Protocol):
    """What a slot sleeps on (an eventcount). Producers, credit returns, timers and the control thread ring it.

    To lose no wake-up: call `token = prepare()`, check again whether anything is runnable, and only then
    `wait(token, ...)`.
    """

    def prepare(self) -> int:
        """Announces the intention to sleep; returns the current token."""
        ...

    def wait(self, token: int, timeout_ns: int, spin_ns: int) -> bool:
        """Sleeps until the doorbell is rung after `prepare`, or until the timeout (negative = none). True when rung.
        Releases the GIL.

        Spins for up to `spin_ns` first: waking a sleeper costs 20 microseconds.
        """
        ...

    def ring(self) -> None:
        """Wakes the sleeper; if none sleeps, the next `wait` with an older token returns at once. Any thread, any
        process.
        """
        ...
