"""The splits of a reader that reads them concurrently: the rest of their batches, and their event time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from shmflink.checkpoint.state_files import dumps_elements
from shmflink.connectors.base import SourceReader, SplitBatch
from shmflink.core.batch import Batch
from shmflink.core.elements import Watermark, WatermarkStatus
from shmflink.core.types.typeinfo import TypeInformation
from shmflink.operators.time.split_watermarks import SplitWatermarks
from shmflink.taskmanager.source_splits import SplitProgress, loaded_rest

__all__ = ["ConcurrentSplits"]


class ConcurrentSplits:
    """Takes batches in pieces, each of one split; the rest of a batch is part of a snapshot."""

    def __init__(self, reader: SourceReader, watermarks: SplitWatermarks, row_type: TypeInformation | None) -> None:
        self._reader = reader
        self._watermarks = watermarks
        self._row_type = row_type
        self._rests: deque[SplitBatch] = deque()  # the first one is being passed on
        self._at = 0  # rows of it already passed on
        self._ends: set[str] = set()  # of these splits only such rests are left
        self._taken = ""
        self._paused: frozenset[str] = frozenset()
        self._pauses = type(reader).pause_splits is not SourceReader.pause_splits

    def add(self, progress: SplitProgress) -> None:
        """From now on the split counts for event time."""
        name = f"\0rest {len(self._rests)}" if progress.split is None else progress.split.split_id
        if progress.split is None:
            self._ends.add(name)
        else:
            self._reader.add_split(progress.split)
        self._watermarks.add(name, progress.watermark_ms)
        if progress.rest:
            self._rests.append(SplitBatch(name, loaded_rest(progress.rest, self._row_type)))

    def ended(self, split_id: str) -> None:
        """The reader has reached its end; all its batches have been passed on."""
        self._watermarks.end(split_id)

    @property
    def has_rest(self) -> bool:
        """Whether `take` has something."""
        return bool(self._rests)

    def keep(self, batch: SplitBatch) -> None:
        """Sets a batch, to be taken in pieces. There must be no rest."""
        assert not self._rests, "a batch was read before the one before was handed on"
        self._rests.append(batch)

    def take(self, rows: int) -> Batch:
        """The next rows of the batch, at most this many. There must be a rest."""
        first, at = self._rests[0], self._at
        self._taken = first.split_id
        if first.batch.num_rows - at <= rows:
            self._rests.popleft()
            self._at = 0
            return first.batch if at == 0 else first.batch.slice(at, first.batch.num_rows - at)
        self._at = at + rows
        return first.batch.slice(at, rows)

    def elements(self, batch: Batch) -> Iterator[Batch | Watermark | WatermarkStatus]:
        """The batch that `take` returned, with its timestamps, and the watermarks within it."""
        split_id = self._taken
        yield from self._watermarks.drain()  # of splits that were added or ended in the meantime
        yield from self._watermarks.through(split_id, batch)
        if split_id in self._ends and all(rest.split_id != split_id for rest in self._rests):
            self._ends.discard(split_id)
            self._watermarks.end(split_id)

    def on_periodic(self, *, is_paused: bool = False) -> None:
        """The watermark interval has passed."""
        self._watermarks.on_periodic(self._paused, is_paused=is_paused)

    def align(self, limit_ms: int) -> bool:
        """Makes the reader pause splits beyond the limit and resume others; True if that changed anything."""
        ahead = self._watermarks.ahead_of(limit_ms) if self._pauses else frozenset()
        if ahead == self._paused:
            return False
        self._paused = ahead
        self._reader.pause_splits(ahead)
        return True

    def progress(self) -> list[SplitProgress]:
        """The rest of each split."""
        rests = {rest.split_id: self._open(rest) for rest in self._rests}
        told = []
        for split in self._reader.snapshot():
            rest = rests.pop(split.split_id, None)
            ms = self._watermarks.split_ms(split.split_id)
            told.append(SplitProgress(split, ms, b"" if rest is None else dumps_elements([rest])))
        over = [SplitProgress(None, self._watermarks.split_ms(name), dumps_elements([b])) for name, b in rests.items()]
        return told + over

    def _open(self, rest: SplitBatch) -> Batch:
        at = self._at if rest is self._rests[0] else 0
        return rest.batch if not at else rest.batch.slice(at, rest.batch.num_rows - at)
