"""The checkpoints of one job from the trigger until they are complete or aborted: folders, barriers, manifests.

::

    start ─ MakeFolder ─▶ folder made ─ TriggerCheckpoint ─▶ told ─ StoreCheckpoint ─▶ being stored ─▶ finished
                └─ discarded: the folder is removed when it is made

Barriers leave in the order of the checkpoints' ids, in whichever order the folders are made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import field

from shmflink.checkpoint.events import StartCheckpoint, Store
from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.core.elements import BARRIER_SAVEPOINT, BARRIER_UNALIGNED, Barrier
from shmflink.core.lazy_dataclass import dataclass
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine.events import FolderMade
from shmflink.jobmachine.outlet import Outlet

__all__ = ["CheckpointsInFlight", "InFlight"]


@dataclass(slots=True)
class InFlight:
    """One checkpoint. `location` is None while its folder is being made; `is_told`: tasks know of it."""

    kind: int
    stops: bool
    epoch: int = 0
    timestamp_ms: int = 0
    location: CheckpointLocation | None = None
    is_told: bool = False
    is_abandoned: bool = False
    is_kept: bool = False
    enumerators: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def is_savepoint(self) -> bool:
        return self.kind == BARRIER_SAVEPOINT

    @property
    def directory(self) -> str:
        """Of its folder, which has been made."""
        assert self.location is not None, "asked before the folder was made"
        return self.location.directory


class CheckpointsInFlight:
    """One per job."""

    def __init__(self, outlet: Outlet) -> None:
        self.epochs: tuple[int, ...] = ()
        """Of the attempts that run: messages go to them."""
        self._outlet = outlet
        self._all: dict[int, InFlight] = {}
        self._to_trigger: deque[int] = deque()
        self._storing: set[int] = set()

    def __contains__(self, checkpoint_id: int) -> bool:
        return checkpoint_id in self._all

    @property
    def told(self) -> list[int]:
        """Ids of the checkpoints that tasks know of."""
        return [checkpoint_id for checkpoint_id, one in self._all.items() if one.is_told]

    @property
    def is_storing(self) -> bool:
        """A manifest is being written."""
        return bool(self._storing)

    @property
    def is_making_folders(self) -> bool:
        return any(one.location is None for one in self._all.values())

    # --- until tasks are told ---

    def start(self, start: StartCheckpoint) -> None:
        """The coordinator triggers it."""
        in_flight = InFlight(start.barrier_kind, start.stops)
        self._all[start.checkpoint_id] = in_flight
        self._to_trigger.append(start.checkpoint_id)
        target = (start.target or "") if in_flight.is_savepoint else None
        self._outlet.ask(ask.MakeFolder(start.checkpoint_id, target))

    def folder_made(self, event: FolderMade) -> None:
        """Triggers what waited for this folder."""
        in_flight = self._all[event.checkpoint_id]
        in_flight.location, in_flight.timestamp_ms = event.location, event.timestamp_ms
        if in_flight.is_abandoned:
            del self._all[event.checkpoint_id]
            self._outlet.ask(ask.DiscardFolder(event.location.directory))
        self.trigger_ready()

    def folder_refused(self, checkpoint_id: int) -> bool:
        """Returns whether the coordinator still waits for the checkpoint. Call `trigger_ready` afterwards."""
        return not self._all.pop(checkpoint_id).is_abandoned

    def trigger_ready(self) -> None:
        """Sends the barriers whose turn it is."""
        while self._to_trigger:
            checkpoint_id = self._to_trigger[0]
            in_flight = self._all.get(checkpoint_id)
            if in_flight is not None and not in_flight.is_abandoned:
                if in_flight.location is None:
                    return
                barrier = Barrier(checkpoint_id, in_flight.timestamp_ms, in_flight.kind)
                in_flight.is_told, in_flight.epoch = True, max(self.epochs)
                trigger = ask.TriggerCheckpoint(self.epochs, barrier, in_flight.location, in_flight.stops)
                self._outlet.ask(trigger)
            self._to_trigger.popleft()

    def triggered(self, checkpoint_id: int, enumerators: Mapping[int, bytes]) -> None:
        """`enumerators`: their states, by vertex. The checkpoint may have been aborted meanwhile."""
        in_flight = self._all.get(checkpoint_id)
        if in_flight is not None:
            in_flight.enumerators = enumerators

    def switch(self, checkpoint_id: int) -> None:
        """From aligned to unaligned."""
        in_flight = self._all[checkpoint_id]
        in_flight.kind = BARRIER_UNALIGNED
        if in_flight.is_told and in_flight.location is not None:
            barrier = Barrier(checkpoint_id, in_flight.timestamp_ms, BARRIER_UNALIGNED)
            switch = ask.SwitchToUnaligned(self.epochs, barrier, in_flight.location, in_flight.stops)
            self._outlet.ask(switch)

    # --- the manifest ---

    def store(self, store: Store) -> None:
        """All tasks have acknowledged it."""
        in_flight = self._all[store.checkpoint_id]
        assert in_flight.location is not None, "a checkpoint is complete before its folder was made"
        self._storing.add(store.checkpoint_id)
        enumerators, location = in_flight.enumerators, in_flight.location
        self._outlet.ask(ask.StoreCheckpoint(store, enumerators, location, in_flight.timestamp_ms, in_flight.epoch))

    def stored(self, checkpoint_id: int) -> InFlight:
        """Its manifest is durable."""
        self._storing.discard(checkpoint_id)
        return self._all[checkpoint_id]

    def not_stored(self, checkpoint_id: int) -> None:
        """Its manifest could not be written."""
        self._storing.discard(checkpoint_id)

    # --- the end of one ---

    def finish(self, checkpoint_id: int) -> None:
        """It is complete."""
        self._all.pop(checkpoint_id, None)

    def discard(self, checkpoint_id: int) -> InFlight | None:
        """It is aborted. Returns it if it has a folder; one that is still being made is removed later."""
        in_flight = self._all.get(checkpoint_id)
        if in_flight is None:
            return None
        if in_flight.location is None:
            in_flight.is_abandoned = True
            return None
        return self._all.pop(checkpoint_id)

    def tell_aborted(self, checkpoint_ids: Sequence[int]) -> None:
        """Of those that are no longer in flight, tasks forget the others' barriers."""
        for checkpoint_id in checkpoint_ids:
            if checkpoint_id not in self._all:
                self._outlet.ask(ask.TellAborted(self.epochs, checkpoint_id))
