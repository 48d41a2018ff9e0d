"""What must hold at the end of a schedule: exactly the expected output, and nothing left behind."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

from shmflink.rpc.states import TaskState
from shmflink.testing.simulation.channels import SimulatedEdges
from shmflink.testing.simulation.disk import SimulatedStore
from shmflink.testing.simulation.jobs import JOBS
from shmflink.testing.simulation.plan import Plan
from shmflink.testing.simulation.taskmanager import SimulatedAttempt
from shmflink.testing.simulation.world import ViolationError, World

__all__ = ["Promises"]


class Promises:
    """Of one schedule. Each check raises ViolationError."""

    def __init__(self, plan: Plan, world: World, store: SimulatedStore) -> None:
        self._plan = plan
        self._job = JOBS[plan.job]
        self._world = world
        self._store = store

    def check_edges(
        self, attempts: Iterable[tuple[SimulatedEdges, list[SimulatedAttempt]]], rng: random.Random
    ) -> None:
        """After a normal end nothing is in flight: every element was read, every credit is back."""
        for edges, parts in attempts:
            tasks = [task for part in parts for slot in part.slots.values() for task in slot.tasks]
            if any(task.state is not TaskState.FINISHED for task in tasks):
                continue
            while edges.step(rng):
                pass
            edges.check()
            left = [name for name, channel in edges.channels.items() if channel.queue]
            if left:
                raise ViolationError(f"elements that nobody has read: {left}")

    def check_disk(self) -> None:
        """A job that has finished leaves no checkpoint."""
        left = self._store.checkpoint_ids()
        if left:
            raise ViolationError(f"checkpoints that are left behind: {sorted(left)}")

    def check_output(self, epochs_of_deposed: AbstractSet[int], *, is_drained: bool) -> None:
        """`epochs_of_deposed`: of attempts that may stage rows after their successors have cleaned up.
        `is_drained`: the input ended early, by request.
        """
        visible = self._world.visible_rows()
        lost, more = self._differences(visible, is_drained)
        if not self._plan.settings.is_exactly_once:
            more = Counter()
            if self._job.has_windows:
                fullest = _highest(visible)
                lost = Counter({row: n for row, n in lost.items() if fullest.get(row[:2], 0) < row[2]})
        if lost or more:
            raise ViolationError(f"lost {dict(lost)}, too many {dict(more)}")
        left = [one for one in self._world.staged if one.epoch not in epochs_of_deposed]
        if left or self._world.precommitted:
            raise ViolationError(f"staged and left: {left}, committed by subtasks only: {[*self._world.precommitted]}")

    def _differences(self, visible: Counter[Any], is_drained: bool) -> tuple[Counter[Any], Counter[Any]]:
        """Rows that are missing, and rows that are too many."""
        job = self._job
        if is_drained and job.is_counted:
            return _gaps(visible), _repeated(visible)
        if is_drained or (self._store.has_drained and not job.is_counted and not job.updates):
            return Counter(), Counter()  # windows have fired early, and the job may have resumed after that
        if job.updates:
            unknown = Counter({row: n for row, n in visible.items() if row not in job.updates})
            return job.expected - visible, unknown + _repeated(visible)
        return job.expected - visible, visible - job.expected


def _gaps(visible: Counter[Any]) -> Counter[Any]:
    """Counts that are missing although later ones are there: input that ended early is a prefix of the whole input."""
    every = Counter((*place, n + 1) for place, count in _highest(visible).items() for n in range(count))
    return every - visible


def _repeated(visible: Counter[Any]) -> Counter[Any]:
    return Counter({row: n - 1 for row, n in visible.items() if n > 1})


def _highest(visible: Counter[Any]) -> dict[Any, int]:
    """The largest count of each (source or window, key)."""
    highest: dict[Any, int] = {}
    for name, key, count in visible:
        highest[name, key] = max(count, highest.get((name, key), 0))
    return highest
