"""Makes complete part files durable and visible."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from shmflink.errors import ResourceError

__all__ = ["Publishable", "in_threads", "publish", "sync_all", "sync_folder"]

_SYNC_THREADS_MAX: Final = 32
"""Several threads sync at the same time, because the file system commits concurrent fsyncs together."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Publishable(Protocol):
    """A complete file that is not visible yet."""

    @property
    def path(self) -> str:
        """The final path."""
        ...

    @property
    def folder(self) -> str | None:
        """The folder to create for the file; None on file systems that create folders implicitly."""
        ...

    def sync(self) -> None:
        """Makes the content durable."""
        ...

    def link(self) -> None:
        """Makes the file visible."""
        ...

    def discard(self) -> None:
        """Discards the file, if it is not visible yet."""
        ...


def publish(parts: Sequence[Publishable]) -> None:
    """Syncs all contents, then makes the names visible in order, then syncs the names. Creates missing folders.

    Raises:
        ResourceError: a path already exists, or the disk reports an error. Files not visible by then are discarded.
    """
    done = 0
    try:
        sync_all(parts)
        changed: dict[str, None] = {}
        for part in parts:
            folder = part.folder
            if folder is not None and folder not in changed:
                changed |= dict.fromkeys([*_make_folders(folder), folder])
            _link(part)
            done += 1
        in_threads(sync_folder, list(changed))
    finally:
        for part in parts[done:]:
            part.discard()


def sync_all(parts: Sequence[Publishable]) -> None:
    """Makes all contents durable.

    Raises:
        ResourceError: the disk reports an error.
    """
    in_threads(_sync, parts)


def in_threads(sync: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Calls `sync` of each, several in parallel: nearly all of the time is spent waiting for the disk."""
    count = min(len(items), _SYNC_THREADS_MAX)
    if count <= 1:
        return [sync(item) for item in items]
    results: list[_Result] = list(items)  # type: ignore[arg-type]  # each is replaced
    with ThreadPoolExecutor(count, "sync") as threads:
        # One task per thread: a task costs more than most items.
        shares = [threads.submit(lambda share: [sync(item) for item in share], items[i::count]) for i in range(count)]
        for index, share in enumerate(shares):
            results[index::count] = share.result()
    return results


def _sync(part: Publishable) -> None:
    try:
        part.sync()
    except OSError as error:
        raise _refused(part.path, error) from error


def _link(part: Publishable) -> None:
    try:
        part.link()
    except OSError as error:
        raise _refused(part.path, error) from error


def _make_folders(folder: str) -> list[str]:
    """Creates `folder`; returns the folders that thereby have a new entry."""
    try:
        # the usual case, which is checked first because the search below is slow for thousands of folders
        os.mkdir(folder)
        return [os.path.dirname(folder)]
    except OSError:
        pass
    changed: list[str] = []
    missing = folder
    while not os.path.isdir(missing):
        missing = os.path.dirname(missing)
        changed.append(missing)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise _refused(folder, error) from error
    return changed


def sync_folder(path: str) -> None:
    """Makes the names in a folder durable.

    Raises:
        ResourceError: the disk reports an error.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _refused(path, error) from error


def _refused(path: str, error: OSError) -> ResourceError:
    return ResourceError(f"{path}: cannot be written: {error.strerror or error}")
