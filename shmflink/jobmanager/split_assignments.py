"""Which splits were assigned to readers since which checkpoint (Flink: SplitAssignmentTracker)."""

from __future__ import annotations

from typing import Final

from shmflink.connectors.base import Split
from shmflink.core.ids import SubtaskId

__all__ = ["SplitAssignments"]

_SINCE_THE_LAST: Final = 2**63  # represents the checkpoint that has not begun


class SplitAssignments:
    """Remembers assigned splits until every checkpoint that could be restored contains them. Pure; for one attempt.

    A split that was assigned before checkpoint n began is in its reader's snapshot of n.
    """

    def __init__(self) -> None:
        self.is_on = False
        """If False, nothing is remembered. The first checkpoint sets it."""
        self._given: dict[SubtaskId, list[tuple[int, Split]]] = {}  # (the first checkpoint that contains it, split)

    def add(self, subtask: SubtaskId, split: Split) -> None:
        """Records that a split was assigned."""
        if self.is_on:
            self._given.setdefault(subtask, []).append((_SINCE_THE_LAST, split))

    def checkpoint_begins(self, checkpoint_id: int) -> None:
        """Records that a checkpoint has begun: it contains all splits assigned so far."""
        self.is_on = True
        for given in self._given.values():
            for at in range(len(given) - 1, -1, -1):
                if given[at][0] != _SINCE_THE_LAST:
                    break
                given[at] = (checkpoint_id, given[at][1])

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """Forgets the splits that the completed checkpoint contains: no older one will be restored."""
        left = {
            subtask: [entry for entry in given if entry[0] > checkpoint_id] for subtask, given in self._given.items()
        }
        self._given = {subtask: given for subtask, given in left.items() if given}

    def take(self, subtask: SubtaskId, checkpoint_id: int | None) -> list[Split]:
        """The splits assigned to a reader that the checkpoint (None: no checkpoint) does not contain, in order."""
        given = self._given.pop(subtask, [])
        held = [entry for entry in given if checkpoint_id is not None and entry[0] <= checkpoint_id]
        if held:
            self._given[subtask] = held  # still needed for an earlier checkpoint
        return [split for _, split in given[len(held) :]]
