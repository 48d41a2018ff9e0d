"""Identities as small frozen types. Epochs, checkpoint ids and positions in a list are integers, under these names."""

from __future__ import annotations

import os
from typing import Final

from shmflink.core.lazy_dataclass import dataclass

__all__ = ["LOCAL_HOST", "JobId", "OperatorId", "SubtaskId", "TaskManagerId"]

LOCAL_HOST: Final = "local"
"""The host of the JobManager, as TaskManagers know it."""


@dataclass(frozen=True, slots=True, order=True)
class JobId:
    """32 hexadecimal digits, as Flink prints them."""

    hex: str

    @staticmethod
    def random() -> JobId:
        return JobId(os.urandom(16).hex())

    @staticmethod
    def of(text: str) -> JobId:
        """The same id for the same text, in every process."""
        return JobId(_digest(text))

    def __str__(self) -> str:
        return self.hex


@dataclass(frozen=True, slots=True, order=True)
class OperatorId:
    """32 hexadecimal digits derived from the operator's uid, otherwise from its place in the graph.

    Restarts match state by it (Flink: OperatorID, from `uid` or the graph hash).
    """

    hex: str

    @staticmethod
    def of(text: str) -> OperatorId:
        return OperatorId(_digest(text))

    def __str__(self) -> str:
        return self.hex


@dataclass(frozen=True, slots=True, order=True)
class SubtaskId:
    """One parallel instance of a job vertex."""

    vertex: int
    subtask: int

    def __str__(self) -> str:
        return f"{self.vertex}/{self.subtask}"


@dataclass(frozen=True, slots=True, order=True)
class TaskManagerId:
    """One TaskManager process: the `life`-th that runs at `index` of its host. Never used twice."""

    host: str
    index: int
    life: int = 1

    def __str__(self) -> str:
        where = "" if self.host == LOCAL_HOST else f" on {self.host}"
        return f"TaskManager {self.index}{where}"


def _digest(text: str) -> str:
    import hashlib  # which takes longer than the rest of this module

    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
