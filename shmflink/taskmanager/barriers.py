"""Alignment of checkpoint barriers over the channels of a task (Flink: CheckpointBarrierHandler). Pure.

Barrier n has arrived on a channel: that channel is blocked until n has arrived on all others, so that what is
before the barrier on every channel, and nothing else, is in the state that is snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shmflink.core.elements import Barrier

__all__ = ["AlignmentEffects", "BarrierAlignment"]


@dataclass(frozen=True, slots=True)
class AlignmentEffects:
    """What has to be done: channels to block, channels to unblock, the barrier to pass on (after its
    snapshot).
    """

    block: tuple[int, ...] = ()
    unblock: tuple[int, ...] = ()
    aligned: Barrier | None = None
    aborted_id: int | None = None  # an older checkpoint that a newer barrier overtook


_NOTHING = AlignmentEffects()


class BarrierAlignment:
    """Aligned checkpoints, one at a time. Ids grow; a barrier of an older or an aborted one is ignored."""

    def __init__(self, channels: Iterable[int]) -> None:
        self._open = set(channels)
        self._arrived: set[int] = set()
        self._barrier: Barrier | None = None
        self._last_id = -1

    def barrier(self, channel: int, barrier: Barrier) -> AlignmentEffects:
        """A barrier came on a channel, which therefore is neither blocked nor at its end."""
        assert channel in self._open, f"a barrier on channel {channel}, which has ended"
        current = self._barrier
        if barrier.checkpoint_id <= self._last_id and (
            current is None or current.checkpoint_id != barrier.checkpoint_id
        ):
            return _NOTHING
        if current is not None and barrier.checkpoint_id == current.checkpoint_id:
            self._arrived.add(channel)
            return self._completed() or AlignmentEffects(block=(channel,))
        unblock = tuple(sorted(self._arrived))
        self._arrived = {channel}
        self._barrier = barrier
        self._last_id = barrier.checkpoint_id
        aborted = None if current is None else current.checkpoint_id
        return self._completed(aborted) or AlignmentEffects((channel,), unblock, None, aborted)

    def end_of_data(self, channel: int) -> AlignmentEffects:
        """A channel has ended: it counts as aligned from now on."""
        self._open.discard(channel)
        self._arrived.discard(channel)
        return (self._completed() if self._barrier is not None else None) or _NOTHING

    def _completed(self, aborted: int | None = None) -> AlignmentEffects | None:
        if not self._arrived >= self._open:
            return None
        barrier, self._barrier = self._barrier, None
        unblock = tuple(sorted(self._arrived))
        self._arrived = set()
        return AlignmentEffects(unblock=unblock, aligned=barrier, aborted_id=aborted)
