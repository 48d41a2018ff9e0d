"""The enumerator of files that appear during the job, or that take long to list."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from shmflink.connectors.base import Split, SplitEnumerator
from shmflink.connectors.file_system.file_systems import FileInfo
from shmflink.connectors.file_system.reading.listing import is_in_progress, natural_key
from shmflink.connectors.split_queue import PackedSplits, WaitingSplits
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import register_plain

__all__ = ["DiscoveryState", "FileDiscovery", "SeenFiles", "new_files"]

_DIGEST_BYTES: Final = 16


class SeenFiles:
    """Paths that were seen, 16 bytes each. A path counts as seen forever, even if the file changes or disappears."""

    def __init__(self, packed: bytes = b"") -> None:
        step = _DIGEST_BYTES
        self._digests = {packed[at : at + step] for at in range(0, len(packed), step)}
        self._packed = bytearray(packed)  # kept in addition to the set, because every checkpoint asks for it

    def add(self, path: str) -> bool:
        """Adds the path; True if it is new."""
        digest = hashlib.blake2b(path.encode(), digest_size=_DIGEST_BYTES).digest()
        if digest in self._digests:
            return False
        self._digests.add(digest)
        self._packed += digest
        return True

    def pack(self) -> bytes:
        """All of them, for the constructor."""
        return bytes(self._packed)

    def __len__(self) -> int:
        return len(self._digests)


def new_files(found: Sequence[FileInfo], seen: SeenFiles, *, is_watching: bool) -> list[FileInfo]:
    """The files that were not seen before; they count as seen from now on.

    In a watched folder, only files that appear to be complete and are not empty, by modification time; otherwise all
    files, in the order in which they were found.
    """
    if not is_watching:
        return [info for info in found if seen.add(info.path)]
    complete = [info for info in found if info.size and not is_in_progress(info.path)]
    complete.sort(key=lambda info: (info.modified_ns, natural_key(info.path)))
    return [info for info in complete if seen.add(info.path)]


@dataclass(frozen=True, slots=True)
class DiscoveryState:
    """The state from which a `FileDiscovery` resumes. `is_listed`: it has listed files at least once."""

    waiting: PackedSplits
    seen: bytes
    next_number: int
    is_listed: bool = False


class FileDiscovery(SplitEnumerator):
    """Assigns files as they appear, without end; or, without an interval, those that exist at the start.

    Its own thread lists the folders, so that a slow file system does not delay the JobManager. The files found are cut
    into splits and queued when the JobManager asks. A listing that fails ends the job with its own error.
    """

    def __init__(
        self,
        find: Callable[[], list[FileInfo]],
        cut: Callable[[Sequence[FileInfo], int], Iterable[Split]],
        interval_ms: int | None,
        state: DiscoveryState | None = None,
    ) -> None:
        """`find` lists all files; `cut` turns files into splits, numbered from its second argument on."""
        self._find = find
        self._cut = cut
        self._interval_ms = interval_ms
        held = [] if state is None else list(state.waiting)
        self._waiting = WaitingSplits(held)
        self._seen = SeenFiles(b"" if state is None else state.seen)
        self._next_number = 0 if state is None else state.next_number
        self._size = sum(split.size for split in held)
        self._size_handed_out = 0
        self._is_listed = state is not None and state.is_listed
        self._lock = threading.Lock()
        self._listing: list[FileInfo] | None = None
        self._error: Exception | None = None
        self._is_closed = threading.Event()
        self._thread: threading.Thread | None = None

    def next_split(self, subtask: int) -> Split | None:
        if self._thread is None and not (self._is_listed and self._interval_ms is None):
            self._thread = threading.Thread(target=self._look, name="file discovery", daemon=True)
            self._thread.start()
        self._take_listing()
        split = self._waiting.take()
        if split is not None:
            self._size_handed_out += split.size
        return split

    @property
    def is_exhausted(self) -> bool:
        return self._interval_ms is None and self._is_listed and not self._waiting

    @property
    def progress(self) -> tuple[int, int] | None:
        is_known = self._interval_ms is None and self._is_listed and self._size
        return (self._size_handed_out, self._size) if is_known else None

    def add_splits_back(self, splits: Sequence[Split]) -> None:
        self._waiting.put_back(splits)
        self._size_handed_out -= sum(split.size for split in splits)

    def snapshot(self) -> DiscoveryState:
        return DiscoveryState(self._waiting.pack(), self._seen.pack(), self._next_number, self._is_listed)

    def close(self) -> None:
        """Stops the thread without joining it, because a listing may take long."""
        self._is_closed.set()

    def _take_listing(self) -> None:
        with self._lock:
            found, self._listing = self._listing, None
            error = self._error
        if error is not None:
            raise error
        if found is None:
            return
        self._is_listed = True
        is_watching = self._interval_ms is not None
        for split in self._cut(new_files(found, self._seen, is_watching=is_watching), self._next_number):
            self._waiting.append(split)
            self._size += split.size
            self._next_number += 1

    def _look(self) -> None:
        while not self._is_closed.is_set():
            try:
                found = self._find()
            except Exception as error:
                with self._lock:
                    self._error = error
                return
            with self._lock:
                self._listing = found  # it contains everything of an older listing
            if self._interval_ms is None:
                return
            self._is_closed.wait(self._interval_ms / 1000)


register_plain(DiscoveryState)
