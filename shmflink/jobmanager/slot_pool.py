"""The slots of all TaskManagers, and the jobs that hold them or wait for them. Pure.

::

    offer ──▶ free ── the oldest request that they complete ──▶ allocated ── release ──▶ free
                └─────────────────── lose ────────────────────────┘

A TaskManager serves one job at a time, so that user code that crashes, leaks or never returns harms no other job.
Therefore all slots of a TaskManager are allocated together, to one job, which keeps them across restarts.

Requests are served in order. Free slots are reserved for the first request until they suffice for it, so that small
jobs cannot starve a large one. A restarting job precedes jobs that have never run: it has state, and its other
TaskManagers are idle meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from shmflink.core.ids import JobId
from shmflink.core.lazy_dataclass import dataclass

__all__ = ["Allocation", "Grant", "SlotPool", "SlotRequest"]

_TaskManager = TypeVar("_TaskManager")


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """A job needs `slots` more slots for its attempt number `attempt`, from 0."""

    job_id: JobId
    attempt: int
    slots: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """The job that holds a TaskManager's slots, and since which attempt."""

    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True)
class Grant(Generic[_TaskManager]):
    """A served request: the slots of these TaskManagers now belong to the job."""

    request: SlotRequest
    taskmanagers: tuple[_TaskManager, ...]


class SlotPool(Generic[_TaskManager]):
    """The slots of one cluster. TaskManagers are identified by a hashable id that is never reused."""

    def __init__(self, slots_per_taskmanager: int) -> None:
        self.slots_per_taskmanager = slots_per_taskmanager
        self._offered: dict[_TaskManager, Allocation | None] = {}  # in the order of their offers; None means free
        self._waiting: list[SlotRequest] = []

    # --- queries ---

    @property
    def free(self) -> int:
        """Slots that no job holds."""
        return sum(owner is None for owner in self._offered.values()) * self.slots_per_taskmanager

    @property
    def waiting(self) -> Sequence[SlotRequest]:
        """Waiting requests, in the order in which they will be served."""
        return tuple(self._waiting)

    def allocation(self, taskmanager: _TaskManager) -> Allocation | None:
        """The holder of a TaskManager's slots; None if they are free or not in the pool."""
        return self._offered.get(taskmanager)

    def slots_of(self, job_id: JobId) -> int:
        """The number of slots that the job holds."""
        return len(self._held_by(job_id)) * self.slots_per_taskmanager

    def request_of(self, job_id: JobId) -> SlotRequest | None:
        """The job's waiting request."""
        return next((request for request in self._waiting if request.job_id == job_id), None)

    # --- TaskManagers ---

    def offer(self, taskmanager: _TaskManager) -> None:
        """Adds a TaskManager with free slots. Offering it again has no effect."""
        self._offered.setdefault(taskmanager, None)

    def lose(self, taskmanager: _TaskManager) -> JobId | None:
        """Removes a TaskManager that is gone; returns the job that held its slots. If that job waits for slots, it now
        needs these as well.
        """
        allocation = self._offered.pop(taskmanager, None)
        if allocation is None:
            return None
        self._waiting = [
            replace(request, slots=request.slots + self.slots_per_taskmanager)
            if request.job_id == allocation.job_id
            else request
            for request in self._waiting
        ]
        return allocation.job_id

    # --- jobs ---

    def request(self, request: SlotRequest) -> None:
        """Queues a request. A job has one request at a time: a second one replaces the first."""
        for index, before in enumerate(self._waiting):
            if before.job_id == request.job_id:
                self._waiting[index] = request
                return
        place = len(self._waiting)
        if request.attempt > 0:
            place = next((index for index, one in enumerate(self._waiting) if one.attempt == 0), place)
        self._waiting.insert(place, request)

    def grants(self) -> list[Grant[_TaskManager]]:
        """Serves requests in order while the free slots suffice, up to the first that must wait."""
        granted = []
        while self._waiting:
            request = self._waiting[0]
            needed = -(-request.slots // self.slots_per_taskmanager)
            free = [taskmanager for taskmanager, owner in self._offered.items() if owner is None]
            if len(free) < needed:
                break
            del self._waiting[0]
            chosen = tuple(free[:needed])
            self._offered.update(dict.fromkeys(chosen, Allocation(request.job_id, request.attempt)))
            granted.append(Grant(request, chosen))
        return granted

    def release(self, job_id: JobId) -> tuple[_TaskManager, ...]:
        """Frees the slots of a job that has ended and removes its request; returns the TaskManagers that it held."""
        held = self._held_by(job_id)
        self._offered.update(dict.fromkeys(held))
        self._waiting = [request for request in self._waiting if request.job_id != job_id]
        return held

    def stop(self) -> None:
        """Called when the cluster ends: no request is served any longer."""
        self._waiting = []

    def _held_by(self, job_id: JobId) -> tuple[_TaskManager, ...]:
        return tuple(one for one, owner in self._offered.items() if owner is not None and owner.job_id == job_id)
