"""Descriptors of the memory that TaskManagers have prepared for attempts, until all receivers have their copies."""

from __future__ import annotations

import os
from collections.abc import Sequence

from shmflink.core.ids import TaskManagerId

__all__ = ["HostMemory"]


class HostMemory:
    """The descriptors of one host. Owns them: the kernel frees an attempt's memory when its last descriptor is
    closed.
    """

    def __init__(self) -> None:
        self._fds: dict[TaskManagerId, dict[int, tuple[int, ...]]] = {}

    def keep(self, taskmanager: TaskManagerId, epoch: int, fds: Sequence[int]) -> None:
        """Takes over the descriptors of the memory that a TaskManager has prepared for the attempt."""
        self.release(taskmanager, epoch)
        self._fds.setdefault(taskmanager, {})[epoch] = tuple(fds)

    def of(self, taskmanager: TaskManagerId, epoch: int) -> tuple[int, ...]:
        """The descriptors of which to send copies; empty if the TaskManager was lost in the meantime."""
        return self._fds.get(taskmanager, {}).get(epoch, ())

    def release(self, taskmanager: TaskManagerId, epoch: int) -> None:
        """Closes the descriptors of one attempt. Idempotent."""
        for fd in self._fds.get(taskmanager, {}).pop(epoch, ()):
            os.close(fd)

    def lose(self, taskmanager: TaskManagerId) -> None:
        """Closes all descriptors of a TaskManager that is gone."""
        for fds in self._fds.pop(taskmanager, {}).values():
            for fd in fds:
                os.close(fd)
