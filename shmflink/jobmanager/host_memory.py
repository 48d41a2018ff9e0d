"""Descriptors of the memory that TaskManagers have prepared for attempts, until all who need them have theirs."""

from __future__ import annotations

import os
from collections.abc import Sequence

from shmflink.core.ids import TaskManagerId

__all__ = ["HostMemory"]


class HostMemory:
    """Of one host. Owns the descriptors: the kernel frees an attempt's memory when its last one is closed."""

    def __init__(self) -> None:
        self._fds: dict[TaskManagerId, dict[int, tuple[int, ...]]] = {}

    def keep(self, taskmanager: TaskManagerId, epoch: int, fds: Sequence[int]) -> None:
        """Takes over what a TaskManager has prepared for the attempt."""
        self.release(taskmanager, epoch)
        self._fds.setdefault(taskmanager, {})[epoch] = tuple(fds)

    def of(self, taskmanager: TaskManagerId, epoch: int) -> tuple[int, ...]:
        """To send copies of; empty where the TaskManager was lost in the meantime."""
        return self._fds.get(taskmanager, {}).get(epoch, ())

    def release(self, taskmanager: TaskManagerId, epoch: int) -> None:
        """Closes those of one attempt. Idempotent."""
        for fd in self._fds.get(taskmanager, {}).pop(epoch, ()):
            os.close(fd)

    def lose(self, taskmanager: TaskManagerId) -> None:
        """Closes all of them: the process is gone."""
        for fds in self._fds.pop(taskmanager, {}).values():
            for fd in fds:
                os.close(fd)
