"""What a sink has staged and not yet committed, by checkpoint (Flink: CommittableCollector)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

__all__ = ["PendingCommits", "StagedCommit"]

Committed: TypeAlias = tuple[int, Any]
"""(checkpoint id, committable)."""


class StagedCommit:
    """The committables of one checkpoint; computed once, in the first thread that asks."""

    def __init__(self, checkpoint_id: int, collect: Callable[[], Sequence[Any]]) -> None:
        self.checkpoint_id = checkpoint_id
        self._collect: Callable[[], Sequence[Any]] | None = collect
        self._committables: tuple[Any, ...] = ()
        self._error: BaseException | None = None
        self.is_done = False
        """Committed, but not yet reported to the global committer."""
        self._lock = threading.Lock()

    def committables(self) -> tuple[Any, ...]:
        """Waits for them. Raises the writer's exception to every caller."""
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._collect is not None:
                try:
                    self._committables = tuple(self._collect())
                except BaseException as error:
                    self._error = error
                    raise
                self._collect = None
            return self._committables

    @property
    def is_known(self) -> bool:
        """True if `committables` does not wait."""
        return self._collect is None

    @property
    def is_known_empty(self) -> bool:
        """True if there is nothing to commit, as far as is known without waiting."""
        return self.is_known and not self._committables


class PendingCommits:
    """Grows at barriers, shrinks when their checkpoints are complete and committed. Any thread."""

    def __init__(self, restored: Sequence[Committed] = (), *, tells: bool = False) -> None:
        """`tells`: commits are reported after the barrier. A commit that has not been reported at the barrier is in its
        checkpoint.
        """
        self._tells = tells
        by_checkpoint: dict[int, list[Any]] = {}
        for checkpoint_id, committable in sorted(restored, key=lambda element: element[0]):
            by_checkpoint.setdefault(checkpoint_id, []).append(committable)
        self._staged = [
            StagedCommit(checkpoint_id, lambda found=tuple(found): found)  # type: ignore[misc]
            for checkpoint_id, found in by_checkpoint.items()
        ]
        self._lock = threading.Lock()

    def stage(self, checkpoint_id: int, collect: Callable[[], Sequence[Any]]) -> Callable[[], list[Committed]]:
        """At a barrier. The returned function waits for everything that must be in this checkpoint.

        That includes uncommitted committables of earlier checkpoints, complete or aborted, and what was staged at the
        end of a job without checkpoints: all of it is due when this checkpoint completes.
        """
        with self._lock:
            for staged in self._staged:
                staged.checkpoint_id = min(staged.checkpoint_id, checkpoint_id)
            self._staged.append(StagedCommit(checkpoint_id, collect))
            covered = list(self._staged)
        return lambda: self._elements(covered)

    def due(self, checkpoint_id: int) -> list[StagedCommit]:
        """What this checkpoint makes visible, oldest first. It stays here until `committed`."""
        with self._lock:
            return [one for one in self._staged if one.checkpoint_id <= checkpoint_id and not one.is_done]

    def committed(self, done: Sequence[StagedCommit]) -> None:
        """These are visible now, and have been reported to all who must know."""
        with self._lock:
            self._staged = [staged for staged in self._staged if staged not in done]

    @property
    def unknown(self) -> list[StagedCommit]:
        """Those whose committables have not been requested from the writer."""
        with self._lock:
            return [staged for staged in self._staged if not staged.is_known]

    @property
    def is_empty(self) -> bool:
        """True if there is nothing to commit; what the writer is still computing counts as something."""
        with self._lock:
            return all(staged.is_known_empty for staged in self._staged)

    def _elements(self, covered: Sequence[StagedCommit]) -> list[Committed]:
        with self._lock:
            waiting = set(
                covered if self._tells else self._staged
            )  # otherwise what was committed in the meantime is left out
        return [
            (staged.checkpoint_id, committable)
            for staged in covered
            if staged in waiting
            for committable in staged.committables()
        ]
