"""Which checkpoints all subtasks of a sink have committed, and what they committed: a pure state machine.

::

    Committed(0, up to 7) Committed(1, up to 5)    ->  checkpoints up to 5 are whole
    Ended(1)                                       ->  checkpoints up to 7 are whole
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from shmflink.taskmanager.commit_messages import AtEnd, Committed, Ended

__all__ = ["GlobalProgress"]

_NO_CHECKPOINT: Final = -1
_ALL_CHECKPOINTS: Final = 2**63


class GlobalProgress:
    """Holds committables until they are committed globally."""

    def __init__(self, restored: Iterable[tuple[int, Any]] = ()) -> None:
        """`restored`: (checkpoint id, committable), as `held` returned them."""
        self._held: dict[int, list[Any]] = {}
        self._committed_to: dict[int, int] = {}
        self._at_end: set[int] = set()
        self._subtasks = 0
        self._add(restored)

    def tell(self, told: Committed | AtEnd | Ended) -> None:
        """Messages of one subtask come in order.

        Messages of another parallelism were in flight at the checkpoint that the job resumed from, and come before all
        others. Their subtasks are gone, but what they committed is still to be committed globally.
        """
        if self._subtasks not in (0, told.subtasks):
            self._committed_to.clear()
            self._at_end.clear()
        self._subtasks = told.subtasks
        match told:
            case Committed(subtask, _, checkpoint_id, committables):
                self._add(committables)
                self._committed_to[subtask] = max(checkpoint_id, self._committed_to.get(subtask, _NO_CHECKPOINT))
            case AtEnd(subtask):
                self._at_end.add(subtask)
            case Ended(subtask):
                self._at_end.add(subtask)
                self._committed_to[subtask] = _ALL_CHECKPOINTS

    def end(self) -> None:
        """All subtasks have ended, some before this attempt began."""
        self._committed_to = dict.fromkeys(range(max(1, self._subtasks)), _ALL_CHECKPOINTS)
        self._subtasks = max(1, self._subtasks)

    @property
    def is_at_end(self) -> bool:
        """Whether nothing but commits follows."""
        return 0 < self._subtasks == len(self._at_end)

    def whole(self) -> list[tuple[int, list[Any]]]:
        """(checkpoint id, committables) of the checkpoints that all subtasks have committed, oldest first. They stay
        held.
        """
        if len(self._committed_to) < max(1, self._subtasks):
            return []
        limit = min(self._committed_to.values())
        return [
            (checkpoint_id, list(self._held[checkpoint_id]))
            for checkpoint_id in sorted(self._held)
            if checkpoint_id <= limit
        ]

    def committed(self, checkpoint_id: int) -> None:
        """The global committer has committed it."""
        self._held.pop(checkpoint_id, None)

    def held(self) -> Sequence[tuple[int, Any]]:
        """(checkpoint id, committable) that are not committed globally, and which a snapshot must therefore hold."""
        return [
            (checkpoint_id, committable) for checkpoint_id, some in sorted(self._held.items()) for committable in some
        ]

    def _add(self, committables: Iterable[tuple[int, Any]]) -> None:
        """Without at-least-once duplicates: what a checkpoint holds on both sides is reported again after a restore."""
        for checkpoint_id, committable in committables:
            held = self._held.setdefault(checkpoint_id, [])
            if committable not in held:
                held.append(committable)
