"""What the job restarts from, and the durable pointers to it."""

from __future__ import annotations

from shmflink.checkpoint.events import Stored
from shmflink.checkpoint.manifest import Manifest
from shmflink.checkpoint.retention import Deletions
from shmflink.jobmachine.effects import DeleteFiles, DiscardFolder, Effect, KeepPointers, Log
from shmflink.jobmachine.events import CheckpointStored, KnownCheckpoint, Leftovers, StorageOpened
from shmflink.jobmachine.outlet import Outlet
from shmflink.jobmachine.pointers import Pointers


def manifest(checkpoint_id: int) -> Manifest:
    return Manifest(checkpoint_id, "a" * 32, "job", 0, "checkpoint")


def add(pointers: Pointers, checkpoint_id: int, *, is_in_folder: bool = True) -> None:
    event = CheckpointStored(checkpoint_id, manifest(checkpoint_id))
    pointers.add(Stored(checkpoint_id, f"/chk-{checkpoint_id}"), event, is_in_folder=is_in_folder)


def pointers_of(num_retained: int) -> tuple[Pointers, Outlet]:
    outlet = Outlet()
    return Pointers(num_retained, outlet), outlet


def test_an_older_checkpoint_goes_only_when_the_pointer_to_the_newer_one_is_durable() -> None:
    pointers, outlet = pointers_of(1)
    add(pointers, 1)
    add(pointers, 2)
    assert outlet.take() == [KeepPointers(("/chk-1",)), KeepPointers(("/chk-2",))]
    assert pointers.is_busy
    assert pointers.kept() == (Stored(1, "/chk-1"), [])
    deletions: list[Effect] = [DeleteFiles(Deletions((1,), ()))]
    assert pointers.kept() == (Stored(2, "/chk-2"), deletions)
    assert not pointers.is_busy


def test_a_savepoint_that_stops_the_job_is_restarted_from_and_deletes_nothing() -> None:
    pointers, _ = pointers_of(1)
    add(pointers, 1)
    add(pointers, 2, is_in_folder=False)
    assert pointers.directories == ("/chk-2", "/chk-1")
    assert [pointers.kept()[1], pointers.kept()[1]] == [[], []]


def test_a_discarded_folder_goes_when_no_pointer_names_it() -> None:
    pointers, outlet = pointers_of(2)
    add(pointers, 1)
    pointers.kept()
    outlet.take()
    pointers.discard("/chk-1")
    assert outlet.take() == [KeepPointers(())]
    assert pointers.kept() == (None, [DiscardFolder("/chk-1")])


def test_a_damaged_checkpoint_is_left_out_and_named() -> None:
    pointers, outlet = pointers_of(2)
    known = tuple(KnownCheckpoint(f"/chk-{n}", n, is_in_folder=True) for n in (2, 1))
    pointers.opened(StorageOpened(3, known, (manifest(2), manifest(1))))
    assert (pointers.directories, pointers.oldest_id, pointers.damage) == (("/chk-2", "/chk-1"), 1, "")
    pointers.leave_out("/chk-2", "no such file")
    pointers.keep()
    assert pointers.damage == "no such file"
    assert outlet.take() == [Log("the checkpoint /chk-2 is left out: no such file"), KeepPointers(("/chk-1",))]


def test_leftovers_of_earlier_attempts_are_deleted() -> None:
    pointers, outlet = pointers_of(1)
    add(pointers, 4)
    outlet.take()
    pointers.begin_attempt(Leftovers((3, 4, 5)))
    assert outlet.take() == [DeleteFiles(Deletions((3, 5), ()))]
