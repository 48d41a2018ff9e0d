from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

import pytest

from shmflink.connectors.base import Split
from shmflink.connectors.file_system.file_systems import FileInfo
from shmflink.connectors.file_system.reading.discovery import DiscoveryState, FileDiscovery, SeenFiles, new_files
from shmflink.errors import ResourceError

WATCHDOG_SECONDS = 20


class Folder:
    """A listing that tests change; `look` waits for the next one."""

    def __init__(self) -> None:
        self.files: list[FileInfo] = []
        self.error: Exception | None = None
        self._listed = threading.Semaphore(0)

    def find(self) -> list[FileInfo]:
        try:
            if self.error is not None:
                raise self.error
            return list(self.files)
        finally:
            self._listed.release()

    def look(self) -> None:
        """Three listings end after this call: the second saw what is there now, and was dealt with before the third."""
        while self._listed.acquire(blocking=False):
            pass
        for _ in range(3 if self.error is None else 1):
            assert self._listed.acquire(timeout=WATCHDOG_SECONDS), "nobody lists"


def cut(files: Sequence[FileInfo], first: int) -> Iterable[Split]:
    return [Split(str(first + index), info.path, info.size) for index, info in enumerate(files)]


@pytest.fixture
def folder() -> Folder:
    return Folder()


@pytest.fixture
def watch(folder: Folder) -> Iterator[FileDiscovery]:
    made = FileDiscovery(folder.find, cut, 1)
    yield made
    made.close()


def next_of(discovery: FileDiscovery) -> Split:
    """Asks until there is a split, as the JobManager does."""
    turn = threading.Event()
    for _ in range(WATCHDOG_SECONDS * 1000):
        if (split := discovery.next_split(0)) is not None:
            return split
        turn.wait(0.001)
    pytest.fail("no split came")


def taken(discovery: FileDiscovery, folder: Folder) -> list[str]:
    paths = []
    discovery.next_split(0) and pytest.fail("a split was left over")
    folder.look()
    while (split := discovery.next_split(0)) is not None:
        paths.append(split.payload)
    return paths


def test_each_file_once_in_the_order_of_its_last_change(folder: Folder, watch: FileDiscovery) -> None:
    """[S9] New files are found while the job runs, each once."""
    assert taken(watch, folder) == []
    folder.files = [FileInfo("/b", 1, 20), FileInfo("/a", 1, 30), FileInfo("/c9", 1, 40), FileInfo("/c10", 1, 40)]
    assert taken(watch, folder) == ["/b", "/a", "/c9", "/c10"]
    folder.files = [FileInfo("/b", 2, 50), FileInfo("/late", 1, 10)]
    assert taken(watch, folder) == ["/late"]
    assert not watch.is_exhausted
    assert watch.progress is None


def test_files_that_are_not_complete_wait(folder: Folder, watch: FileDiscovery) -> None:
    """[S12] Half-written files are left alone until they have their name."""
    folder.files = [FileInfo("/a.tmp", 5, 1), FileInfo("/empty", 0, 1)]
    assert taken(watch, folder) == []
    folder.files = [FileInfo("/a", 5, 1), FileInfo("/empty", 7, 2)]
    assert taken(watch, folder) == ["/a", "/empty"]


def test_it_goes_on_from_its_snapshot(folder: Folder, watch: FileDiscovery) -> None:
    folder.files = [FileInfo("/a", 1, 1), FileInfo("/b", 1, 2)]
    first = next_of(watch)
    state = watch.snapshot()
    assert isinstance(state, DiscoveryState)
    assert len(state.seen) == 32
    later = Folder()  # of its own: `watch` still lists the other one
    later.files = list(folder.files)
    again = FileDiscovery(later.find, cut, 1, state)
    split = next_of(again)
    assert (first.payload, split.payload) == ("/a", "/b")
    later.files.append(FileInfo("/c", 1, 3))
    assert taken(again, later) == ["/c"]
    again.add_splits_back([split])
    assert again.next_split(0) == split
    again.close()


def test_a_listing_that_fails_ends_the_job(folder: Folder, watch: FileDiscovery) -> None:
    folder.error = ResourceError("/data: cannot be listed")
    with pytest.raises(ResourceError, match="cannot be listed"):
        next_of(watch)


def test_without_an_interval_it_ends(folder: Folder) -> None:
    folder.files = [FileInfo("/b", 5, 2), FileInfo("/a", 6, 1), FileInfo("/empty", 0, 1)]
    once = FileDiscovery(folder.find, cut, None)
    paths = []
    while not once.is_exhausted:
        if (split := once.next_split(0)) is not None:
            paths.append(split.payload)
            assert once.progress is not None
            assert once.progress[1] == 11
    assert paths == ["/b", "/a", "/empty"]
    assert once.next_split(0) is None


def test_a_bounded_source_that_was_restored_does_not_look_again(folder: Folder) -> None:
    """Files that came after it began are not part of it, whenever it fails."""
    folder.files = [FileInfo("/a", 5, 2), FileInfo("/b", 6, 1)]
    once = FileDiscovery(folder.find, cut, None)
    unlisted = once.snapshot()
    assert next_of(once).payload == "/a"
    state = once.snapshot()
    folder.files.append(FileInfo("/c", 1, 3))
    again = FileDiscovery(folder.find, cut, None, state)
    assert [split.payload for split in iter(lambda: again.next_split(0), None)] == ["/b"]
    assert again.is_exhausted
    began_later = FileDiscovery(folder.find, cut, None, unlisted)
    assert next_of(began_later).payload == "/a"
    assert [split.payload for split in iter(lambda: began_later.next_split(0), None)] == ["/b", "/c"]


def test_what_was_listed_and_not_asked_for_is_found_again(folder: Folder, watch: FileDiscovery) -> None:
    """[S9] A file between the listing and the checkpoint is in neither reader nor state: the restored one lists it."""
    taken(watch, folder)
    folder.files = [FileInfo("/a", 1, 1)]
    folder.look()
    again = FileDiscovery(folder.find, cut, 1, watch.snapshot())
    assert next_of(again).payload == "/a"
    again.close()


def test_seen_files_are_compact() -> None:
    seen = SeenFiles()
    assert [seen.add(path) for path in ("/a", "/b", "/a")] == [True, True, False]
    assert len(SeenFiles(seen.pack())) == 2
    assert new_files([FileInfo("/a", 1)], SeenFiles(seen.pack()), is_watching=True) == []
