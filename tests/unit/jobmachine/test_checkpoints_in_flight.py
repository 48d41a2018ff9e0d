"""Checkpoints from the trigger until they are complete or aborted."""

from __future__ import annotations

from shmflink.checkpoint.events import StartCheckpoint, Store
from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.core.elements import BARRIER_ALIGNED, BARRIER_SAVEPOINT, BARRIER_UNALIGNED, Barrier
from shmflink.jobmachine.checkpoints_in_flight import CheckpointsInFlight
from shmflink.jobmachine.effects import (
    DiscardFolder,
    MakeFolder,
    StoreCheckpoint,
    SwitchToUnaligned,
    TellAborted,
    TriggerCheckpoint,
)
from shmflink.jobmachine.events import FolderMade
from shmflink.jobmachine.outlet import Outlet

EPOCHS = (5, 6)


def location(checkpoint_id: int) -> CheckpointLocation:
    return CheckpointLocation(f"/chk-{checkpoint_id}", "", 0)


def made(checkpoint_id: int) -> FolderMade:
    return FolderMade(checkpoint_id, location(checkpoint_id), 1000 + checkpoint_id)


def triggered(checkpoint_id: int) -> TriggerCheckpoint:
    barrier = Barrier(checkpoint_id, 1000 + checkpoint_id, BARRIER_ALIGNED)
    return TriggerCheckpoint(EPOCHS, barrier, location(checkpoint_id), stops=False)


def started(*checkpoint_ids: int) -> tuple[CheckpointsInFlight, Outlet]:
    outlet = Outlet()
    in_flight = CheckpointsInFlight(outlet)
    in_flight.epochs = EPOCHS
    for checkpoint_id in checkpoint_ids:
        in_flight.start(StartCheckpoint(checkpoint_id, BARRIER_ALIGNED))
    return in_flight, outlet


def test_barriers_leave_in_the_order_of_ids_whichever_folder_is_made_first() -> None:
    in_flight, outlet = started(1, 2)
    assert outlet.take() == [MakeFolder(1), MakeFolder(2)]
    in_flight.folder_made(made(2))
    assert outlet.take() == []
    assert in_flight.is_making_folders
    in_flight.folder_made(made(1))
    assert outlet.take() == [triggered(1), triggered(2)]
    assert in_flight.told == [1, 2]
    assert not in_flight.is_making_folders


def test_a_folder_that_cannot_be_made_does_not_delay_the_next_barrier() -> None:
    in_flight, outlet = started(1, 2)
    in_flight.folder_made(made(2))
    outlet.take()
    assert in_flight.folder_refused(1)
    in_flight.trigger_ready()
    assert outlet.take() == [triggered(2)]


def test_a_folder_that_is_made_after_the_abort_is_removed() -> None:
    in_flight, outlet = started(1)
    outlet.take()
    assert in_flight.discard(1) is None
    in_flight.folder_made(made(1))
    assert outlet.take() == [DiscardFolder("/chk-1")]
    assert 1 not in in_flight


def test_nobody_waits_for_the_refused_folder_of_an_aborted_checkpoint() -> None:
    in_flight, _ = started(1)
    in_flight.discard(1)
    assert not in_flight.folder_refused(1)


def test_a_manifest_holds_the_states_of_the_enumerators_at_the_trigger() -> None:
    in_flight, outlet = started(1)
    in_flight.folder_made(made(1))
    in_flight.triggered(1, {0: b"splits"})
    outlet.take()
    store = Store(1, False, None, {}, frozenset())
    in_flight.store(store)
    assert outlet.take() == [StoreCheckpoint(store, {0: b"splits"}, location(1), 1001, 6)]
    assert in_flight.is_storing
    assert in_flight.stored(1).directory == "/chk-1"
    assert not in_flight.is_storing
    in_flight.finish(1)
    assert 1 not in in_flight


def test_a_savepoint_goes_to_its_target() -> None:
    in_flight, outlet = started()
    in_flight.start(StartCheckpoint(3, BARRIER_SAVEPOINT, "/target"))
    in_flight.start(StartCheckpoint(4, BARRIER_SAVEPOINT))
    assert outlet.take() == [MakeFolder(3, "/target"), MakeFolder(4, "")]


def test_a_switch_reaches_only_tasks_that_know_of_the_checkpoint() -> None:
    in_flight, outlet = started(1)
    outlet.take()
    in_flight.switch(1)
    assert outlet.take() == []
    in_flight.folder_made(made(1))
    barrier = Barrier(1, 1001, BARRIER_UNALIGNED)
    assert outlet.take() == [TriggerCheckpoint(EPOCHS, barrier, location(1), stops=False)]
    in_flight.switch(1)
    assert outlet.take() == [SwitchToUnaligned(EPOCHS, barrier, location(1), stops=False)]


def test_tasks_forget_what_is_no_longer_in_flight() -> None:
    in_flight, outlet = started(1, 2)
    in_flight.folder_made(made(1))
    in_flight.folder_made(made(2))
    told = in_flight.told
    in_flight.discard(1)
    outlet.take()
    in_flight.tell_aborted(told)
    assert outlet.take() == [TellAborted(EPOCHS, 1)]
