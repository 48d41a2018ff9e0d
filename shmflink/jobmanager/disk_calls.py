"""Performs the disk effects of a job machine in threads of the event loop's pool, and returns their results as
events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from shmflink.checkpoint.handles import CheckpointLocation
from shmflink.core.clock import Clock
from shmflink.jobmachine import effects as ask
from shmflink.jobmachine import events
from shmflink.jobmanager.job_loop import JobLoop
from shmflink.jobmanager.splits import failure_of

__all__ = ["DiskCalls", "DiskEffect", "JobDisk"]

_Found = TypeVar("_Found")
DiskEffect = (
    ask.OpenStorage
    | ask.PrepareRestore
    | ask.MakeFolder
    | ask.StoreCheckpoint
    | ask.DeleteFiles
    | ask.DiscardFolder
    | ask.DiscardClaimed
    | ask.CloseStorage
)


class JobDisk(Protocol):
    """The disk operations of checkpoints, documented in `checkpoint_disk.CheckpointDisk`. All of them block."""

    @property
    def folder(self) -> str: ...

    def open(self) -> events.StorageOpened: ...

    def restore(self, directories: Iterable[str], *, is_whole: bool) -> events.RestorePrepared: ...

    def make_folder(self, checkpoint_id: int, target: str | None) -> CheckpointLocation: ...

    def store(self, effect: ask.StoreCheckpoint) -> events.CheckpointStored: ...

    def remove(self, effect: ask.DeleteFiles | ask.DiscardFolder | ask.DiscardClaimed) -> None: ...

    def close(self, *, keeps: bool) -> None: ...


class DiskCalls:
    """The disk calls of one job. Used only by the event loop. Calls `feed` once for every effect that has an answer."""

    def __init__(
        self,
        disk: JobDisk,
        loop: JobLoop,
        clock: Clock,
        feed: Callable[[events.Event], None],
        epochs: Callable[[int, Callable[[tuple[int, ...]], None]], None],
        opened: Callable[[], None] | None = None,
    ) -> None:
        """`epochs` grants a number of epochs for new attempts. `opened` is called when the storage can be used."""
        self._disk = disk
        self._loop = loop
        self._clock = clock
        self._feed = feed
        self._epochs = epochs
        self._opened = opened
        self._under_way = 0
        self._close: ask.CloseStorage | None = None  # waits for all calls in progress

    @property
    def folder(self) -> str:
        """The folder of the job's checkpoints; empty if there is none."""
        return self._disk.folder

    def perform(self, effect: DiskEffect) -> None:
        """Returns at once."""
        match effect:
            case ask.OpenStorage():
                self._call(
                    self._disk.open, self._storage_opened, lambda error: events.StorageRefused(failure_of(error))
                )
            case ask.PrepareRestore(directories, is_whole, attempts):
                self._call(
                    partial(self._disk.restore, directories, is_whole=is_whole),
                    lambda found: self._with_epochs(found, attempts),
                    lambda error: events.RestoreFailed(failure_of(error)),
                )
            case ask.MakeFolder(checkpoint_id, target):
                self._call(
                    partial(self._disk.make_folder, checkpoint_id, target),
                    lambda made: self._feed(events.FolderMade(checkpoint_id, made, self._clock.processing_time_ms())),
                    lambda error: events.FolderRefused(checkpoint_id, str(error)),
                )
            case ask.StoreCheckpoint():
                checkpoint_id = effect.store.checkpoint_id
                self._call(
                    partial(self._disk.store, effect),
                    self._feed,
                    lambda error: events.CheckpointNotStored(checkpoint_id, str(error)),
                )
            case ask.CloseStorage():
                self._close = effect
                self._close_if_idle()
            case _:
                self._call(partial(self._disk.remove, effect), _ignore, lambda error: events.Crashed(failure_of(error)))

    def _storage_opened(self, found: events.StorageOpened) -> None:
        if self._opened is not None:
            self._opened()
        self._feed(found)

    def _with_epochs(self, found: events.RestorePrepared, attempts: int) -> None:
        def granted(epochs: tuple[int, ...]) -> None:
            self._loop.guarded(self._feed, replace(found, epochs=epochs))

        self._epochs(attempts, granted)

    def _call(
        self,
        work: Callable[[], _Found],
        then: Callable[[_Found], None],
        failed: Callable[[BaseException], events.Event],
    ) -> None:
        self._under_way += 1

        def done(future: asyncio.Future[_Found]) -> None:
            self._under_way -= 1
            error = future.exception()
            if error is None:
                then(future.result())
            else:
                self._feed(failed(error))
            self._close_if_idle()

        self._loop.in_thread(work, done)

    def _close_if_idle(self) -> None:
        if self._close is None or self._under_way:
            return
        close, self._close = self._close, None
        self._call(
            partial(self._disk.close, keeps=close.keeps),
            lambda _: self._feed(events.StorageClosed()),
            lambda error: events.Crashed(failure_of(error)),
        )


def _storage_refused(error: BaseException) -> events.Event:
    return events.StorageRefused(failure_of(error))


def _ignore(_found: object) -> None:
    return
