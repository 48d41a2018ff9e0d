"""The TaskManagers that a job has, and how many it lacks."""

from __future__ import annotations

from collections.abc import Iterable

from shmflink.core.ids import TaskManagerId
from shmflink.graph.execution_graph import taskmanager_of

__all__ = ["Slots"]


class Slots:
    """Place i holds TaskManager i of the job's execution graph; the place of a lost one is empty."""

    def __init__(self, required: int) -> None:
        """`required`: slots that the job needs."""
        self.required = required
        self.per = 1
        """Slots of each TaskManager, known from the first grant on."""
        self._held: list[TaskManagerId | None] = []

    def missing(self, per: int) -> int:
        """How many TaskManagers of `per` slots each the job needs besides those that it has."""
        return taskmanager_of(self.required - 1, per) + 1 - sum(one is not None for one in self._held)

    @property
    def are_complete(self) -> bool:
        return bool(self._held) and None not in self._held

    @property
    def taskmanagers(self) -> tuple[TaskManagerId, ...]:
        """Those that it has."""
        return tuple(one for one in self._held if one is not None)

    def grant(self, taskmanagers: Iterable[TaskManagerId], per: int) -> None:
        """They take the empty places, in order."""
        self.per = per
        needed = taskmanager_of(self.required - 1, per) + 1
        self._held += [None] * (needed - len(self._held))
        fresh = iter(taskmanagers)
        self._held = [one if one is not None else next(fresh, None) for one in self._held]

    def lose(self, taskmanager: TaskManagerId) -> None:
        """It is gone."""
        self._held = [None if one == taskmanager else one for one in self._held]
