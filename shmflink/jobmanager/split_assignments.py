"""Which splits readers were handed out since which checkpoint (Flink: SplitAssignmentTracker)."""

from __future__ import annotations

from typing import Final

from shmflink.connectors.base import Split
from shmflink.core.ids import SubtaskId

__all__ = ["SplitAssignments"]

_SINCE_THE_LAST: Final = 2**63  # stands for the checkpoint that has not begun


class SplitAssignments:
    """Remembers splits until every checkpoint that could be restored holds them. Pure; of one attempt.

    A split that was handed out before checkpoint n began is in its reader's snapshot of n.
    """

    def __init__(self) -> None:
        self.is_on = False
        """False: nothing is remembered. The first checkpoint turns it on."""
        self._given: dict[SubtaskId, list[tuple[int, Split]]] = {}  # (the first checkpoint that holds it, split)

    def add(self, subtask: SubtaskId, split: Split) -> None:
        """It was handed out."""
        if self.is_on:
            self._given.setdefault(subtask, []).append((_SINCE_THE_LAST, split))

    def checkpoint_begins(self, checkpoint_id: int) -> None:
        """Everything so far is in it."""
        self.is_on = True
        for given in self._given.values():
            for at in range(len(given) - 1, -1, -1):
                if given[at][0] != _SINCE_THE_LAST:
                    break
                given[at] = (checkpoint_id, given[at][1])

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        """What it holds is forgotten: no older one will be restored."""
        left = {
            subtask: [entry for entry in given if entry[0] > checkpoint_id] for subtask, given in self._given.items()
        }
        self._given = {subtask: given for subtask, given in left.items() if given}

    def take(self, subtask: SubtaskId, checkpoint_id: int | None) -> list[Split]:
        """What a reader was handed out and that checkpoint (None: no checkpoint) does not hold, in its order."""
        given = self._given.pop(subtask, [])
        held = [entry for entry in given if checkpoint_id is not None and entry[0] <= checkpoint_id]
        if held:
            self._given[subtask] = held  # for a checkpoint before it
        return [split for _, split in given[len(held) :]]
