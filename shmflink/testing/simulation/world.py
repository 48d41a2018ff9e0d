"""The world outside the simulated cluster, which outlives its crashes: the sink's system, the violations found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

__all__ = ["CommittableId", "SimulatedUserError", "ViolationError", "World", "current_world", "enter_world"]


class ViolationError(AssertionError):
    """The engine broke a promise."""


class SimulatedUserError(Exception):
    """Raised by user code where the schedule says so."""


class CommittableId(NamedTuple):
    """What a simulated sink writer stages. `checkpoint_id`: of the checkpoint that asked for it."""

    sink: str
    epoch: int
    subtask: int
    number: int
    checkpoint_id: int


class World:
    """Staged and committed rows. `may_fail(place)` is asked by user code and says whether to raise there."""

    def __init__(self, may_fail: Callable[[str], bool]) -> None:
        self.staged: dict[CommittableId, list[Any]] = {}
        self.precommitted: dict[CommittableId, list[Any]] = {}
        """Subtasks have committed these; they become visible when the global committer of their sink commits."""
        self.committed: dict[CommittableId, list[Any]] = {}
        self.violations: list[str] = []
        self.counts: Counter[str] = Counter()
        """How often what happened to the job."""
        self.is_checked = True  # False in at-least-once mode: operators do not insist on seeing each row once
        self.is_in_time = True  # False behind the savepoint of a drained job: event time had come to its end there
        self._may_fail = may_fail
        self._committed_to: dict[str, int] = {}  # the last checkpoint of each sink that was committed globally

    def may_fail(self, place: str) -> None:
        """Raises SimulatedUserError where the schedule says so."""
        if self._may_fail(place):
            raise SimulatedUserError(place)

    def violated(self, text: str) -> NoReturn:
        """Records it and stops the run."""
        self.violations.append(text)
        raise ViolationError(text)

    def stage(self, committable: CommittableId, rows: list[Any]) -> None:
        if committable in self.staged or committable in self.precommitted or committable in self.committed:
            self.violated(f"{committable} is staged twice")
        self.staged[committable] = rows

    def commit(self, committables: Sequence[CommittableId]) -> None:
        """Idempotent. May fail between two."""
        for committable in committables:
            self.may_fail("commit")
            if committable not in self.committed:
                self.committed[committable] = self._take_staged(committable)
        self.may_fail("after commit")

    def _take_staged(self, committable: CommittableId) -> list[Any]:
        if committable not in self.staged:
            self.violated(f"{committable} is committed, but was abandoned before")
        return self.staged.pop(committable)

    def precommit(self, committables: Sequence[CommittableId]) -> None:
        """By a subtask of a sink with a global committer. Idempotent. May fail between two."""
        for committable in committables:
            self.may_fail("commit")
            if committable not in self.committed and committable not in self.precommitted:
                self.precommitted[committable] = self._take_staged(committable)
        self.may_fail("after commit")

    def commit_globally(self, committables: Sequence[CommittableId]) -> None:
        """All parts of one checkpoint, in the order of checkpoints. Idempotent: one act, which may be repeated."""
        self.may_fail("global commit")
        new = [committable for committable in committables if committable not in self.committed]
        for committable in new:
            if committable not in self.precommitted:
                self.violated(f"{committable} is committed globally before its subtask has committed it")
            if committable.checkpoint_id <= self._committed_to.get(committable.sink, -1):
                self.violated(f"{committable} is committed globally behind a part of its checkpoint or a later one")
            self.committed[committable] = self.precommitted.pop(committable)
        for committable in new:
            self._committed_to[committable.sink] = committable.checkpoint_id
        self.may_fail("after global commit")

    def abandon(self, committables: Iterable[CommittableId]) -> None:
        for committable in committables:
            self.staged.pop(committable, None)

    def remove_leftovers(
        self, sink: str, epoch: int, subtask: int, parallelism: int, kept: Iterable[CommittableId]
    ) -> None:
        """Removes what earlier attempts of a subtask staged and no checkpoint holds.

        Subtask 0 also removes what subtasks staged that no longer exist.
        """
        keep = set(kept)
        for one in [c for c in self.staged if c.sink == sink and c.epoch < epoch and c not in keep]:
            if one.subtask == subtask or (subtask == 0 and one.subtask >= parallelism):
                del self.staged[one]

    def visible_rows(self) -> Counter[Any]:
        """What a reader of the sink's system sees."""
        return Counter(row for rows in self.committed.values() for row in rows)


_CURRENT: Final[list[World]] = []


def enter_world(world: World) -> None:
    """User code finds this one from now on. One at a time in a process."""
    _CURRENT[:] = [world]


def current_world() -> World:
    """For user code."""
    return _CURRENT[0]
