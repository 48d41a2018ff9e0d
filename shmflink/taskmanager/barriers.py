"""Barriers of checkpoints over the channels of a task (Flink: CheckpointBarrierHandler). Pure.

Aligned: when barrier n has arrived on a channel, that channel is blocked until n has arrived on all others. So the
snapshot contains exactly what is before the barrier on every channel. At-least-once: no channel is blocked, so that the
barriers of several checkpoints may be on their way through the task at once. Unaligned (Chandy and Lamport, 1985): the
snapshot is taken at the first sign of the checkpoint; elements that then arrive on a channel before its barrier are
recorded and become part of the checkpoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from shmflink.core.elements import BARRIER_UNALIGNED, Barrier
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["AlignmentEffects", "BarrierAlignment", "BarrierTracker", "InputBarriers"]

_TRACKED_MAX: Final = 50  # checkpoints whose barriers are counted at once (Flink: MAX_CHECKPOINTS_TO_TRACK)


@dataclass(frozen=True, slots=True)
class AlignmentEffects:
    """Effects: channels to block, channels to unblock, the barrier whose snapshot is due now (and which is passed on
    afterwards), the checkpoint whose record is complete, a checkpoint that a newer one overtook, barriers whose
    snapshots are due after that of `aligned`.
    """

    block: tuple[int, ...] = ()
    unblock: tuple[int, ...] = ()
    aligned: Barrier | None = None
    recorded_id: int | None = None
    aborted_id: int | None = None
    aligned_next: tuple[Barrier, ...] = ()


_NOTHING = AlignmentEffects()


class InputBarriers(ABC):
    """The barriers of one task's channels. Ids grow on each channel; a barrier of an aborted checkpoint is ignored."""

    def __init__(self, channels: Iterable[int]) -> None:
        """`channels`: those that have not ended."""
        self._open = set(channels)
        self._last_id = -1
        self._aborted: set[int] = set()  # newer than `_last_id`
        self._recording_id: int | None = None
        self.recording: set[int] = set()
        """Channels whose elements are recorded."""

    @property
    def recording_id(self) -> int | None:
        """The checkpoint for which elements are recorded."""
        return self._recording_id

    @abstractmethod
    def barrier(self, channel: int, barrier: Barrier) -> AlignmentEffects:
        """A barrier arrived on a channel, which therefore is neither blocked nor at its end."""

    @abstractmethod
    def start(self, barrier: Barrier) -> AlignmentEffects:
        """The task must take part now: unaligned, or because none of its channels will deliver the barrier."""

    @abstractmethod
    def end_of_data(self, channel: int) -> AlignmentEffects:
        """A channel has ended: it counts as aligned from now on."""

    @abstractmethod
    def abort(self, checkpoint_id: int) -> AlignmentEffects:
        """The checkpoint will not complete: its barriers are ignored from now on. An older checkpoint may still be in
        progress.
        """

    def _is_ignored(self, checkpoint_id: int) -> bool:
        return checkpoint_id <= self._last_id or checkpoint_id in self._aborted

    def _begin(self, checkpoint_id: int) -> None:
        """The checkpoint has begun here: barriers of older checkpoints that have not begun are ignored."""
        self._last_id = checkpoint_id
        self._aborted = {number for number in self._aborted if number > checkpoint_id}

    def _forget(self, checkpoint_id: int) -> None:
        if checkpoint_id > self._last_id:
            self._aborted.add(checkpoint_id)


class BarrierTracker(InputBarriers):
    """At-least-once: counts the barriers of each checkpoint and blocks no channel (Flink: CheckpointBarrierTracker).

    A channel delivers barriers in their order. So an older checkpoint is never aligned after a newer one, unless a
    task upstream has skipped it.
    """

    def __init__(self, channels: Iterable[int]) -> None:
        super().__init__(channels)
        self._arrived: dict[int, tuple[Barrier, set[int]]] = {}  # by checkpoint, oldest first

    def barrier(self, channel: int, barrier: Barrier) -> AlignmentEffects:
        assert channel in self._open, f"a barrier on channel {channel}, which has ended"
        number = barrier.checkpoint_id
        if number not in self._arrived:
            if self._is_ignored(number):
                return _NOTHING
            self._begin(number)
            self._arrived[number] = (barrier, set())
        self._arrived[number][1].add(channel)
        if len(self._arrived) <= _TRACKED_MAX:
            return self._aligned()
        oldest = next(iter(self._arrived))
        del self._arrived[oldest]
        return AlignmentEffects(aborted_id=oldest)

    def start(self, barrier: Barrier) -> AlignmentEffects:
        assert barrier.kind != BARRIER_UNALIGNED, "an unaligned checkpoint without exactly-once"
        self._arrived.pop(barrier.checkpoint_id, None)
        self._last_id = max(self._last_id, barrier.checkpoint_id)
        return AlignmentEffects(aligned=barrier)

    def end_of_data(self, channel: int) -> AlignmentEffects:
        self._open.discard(channel)
        return self._aligned()

    def abort(self, checkpoint_id: int) -> AlignmentEffects:
        self._arrived.pop(checkpoint_id, None)
        self._forget(checkpoint_id)
        return _NOTHING

    def _aligned(self) -> AlignmentEffects:
        """Those whose barriers have arrived everywhere; the end of a channel may complete several."""
        due = [barrier for barrier, arrived in self._arrived.values() if arrived >= self._open]
        if not due:
            return _NOTHING
        last_id = due[-1].checkpoint_id
        self._arrived = {number: entry for number, entry in self._arrived.items() if number > last_id}
        return AlignmentEffects(aligned=due[0], aligned_next=tuple(due[1:]))


class BarrierAlignment(InputBarriers):
    """Exactly-once: one checkpoint at a time; the first barrier of a newer one ends the alignment of the older."""

    def __init__(self, channels: Iterable[int]) -> None:
        super().__init__(channels)
        self._arrived: set[int] = set()
        self._barrier: Barrier | None = None

    @property
    def aligning_id(self) -> int | None:
        """The checkpoint whose barrier has arrived on some channels."""
        return None if self._barrier is None else self._barrier.checkpoint_id

    def barrier(self, channel: int, barrier: Barrier) -> AlignmentEffects:
        assert channel in self._open, f"a barrier on channel {channel}, which has ended"
        current = self._barrier
        if barrier.checkpoint_id == self._recording_id:
            return self._recorded(channel)
        if self._is_ignored(barrier.checkpoint_id) and barrier.checkpoint_id != self.aligning_id:
            return _NOTHING
        if barrier.kind == BARRIER_UNALIGNED:
            return self._start_unaligned(barrier, channel)
        if current is not None and barrier.checkpoint_id == current.checkpoint_id:
            self._arrived.add(channel)
            return self._completed() or AlignmentEffects(block=(channel,))
        aborted, unblock = self._give_up()
        self._arrived = {channel}
        self._barrier = barrier
        self._begin(barrier.checkpoint_id)
        return self._completed(aborted) or AlignmentEffects((channel,), unblock, aborted_id=aborted)

    def start(self, barrier: Barrier) -> AlignmentEffects:
        if self._is_ignored(barrier.checkpoint_id) and barrier.checkpoint_id != self.aligning_id:
            return _NOTHING
        if barrier.kind == BARRIER_UNALIGNED:
            return self._start_unaligned(barrier, None)
        assert not self._open, "an aligned checkpoint starts at the sources"
        self._begin(barrier.checkpoint_id)
        return AlignmentEffects(aligned=barrier)

    def end_of_data(self, channel: int) -> AlignmentEffects:
        self._open.discard(channel)
        self._arrived.discard(channel)
        if self._recording_id is not None:
            return self._recorded(channel)
        return (self._completed() if self._barrier is not None else None) or _NOTHING

    def abort(self, checkpoint_id: int) -> AlignmentEffects:
        self._forget(checkpoint_id)
        if checkpoint_id == self._recording_id:
            self._recording_id = None
            self.recording.clear()
        if checkpoint_id == self.aligning_id:
            return AlignmentEffects(unblock=self._give_up()[1])
        return _NOTHING

    def _start_unaligned(self, barrier: Barrier, channel: int | None) -> AlignmentEffects:
        has_arrived = set(self._arrived) if barrier.checkpoint_id == self.aligning_id else set()
        aborted, unblock = self._give_up()
        if aborted == barrier.checkpoint_id:
            aborted = None
        if channel is not None:
            has_arrived.add(channel)
        self._begin(barrier.checkpoint_id)
        self.recording = self._open - has_arrived
        if self.recording:
            self._recording_id = barrier.checkpoint_id
        return AlignmentEffects((), unblock, barrier, None, aborted)

    def _recorded(self, channel: int) -> AlignmentEffects:
        self.recording.discard(channel)
        if self.recording:
            return _NOTHING
        recorded, self._recording_id = self._recording_id, None
        return AlignmentEffects(recorded_id=recorded)

    def _give_up(self) -> tuple[int | None, tuple[int, ...]]:
        """Ends the current checkpoint: its id, and the channels to unblock."""
        aborted = self.aligning_id if self._recording_id is None else self._recording_id
        unblock = tuple(sorted(self._arrived))
        self._barrier, self._arrived = None, set()
        self._recording_id = None
        self.recording.clear()
        return aborted, unblock

    def _completed(self, aborted: int | None = None) -> AlignmentEffects | None:
        if not self._arrived >= self._open:
            return None
        barrier = self._barrier
        assert barrier is not None
        _, unblock = self._give_up()
        return AlignmentEffects((), unblock, barrier, None, aborted)
