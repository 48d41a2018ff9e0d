"""The splits of a source's reader: the rows of each that were read and not yet emitted, and its event time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from shmflink.checkpoint.state_files import dumps_elements, loads_elements
from shmflink.connectors.base import SourceReader, Split
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS, Watermark, WatermarkStatus
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.serialization.plain_values import is_plain, register_plain
from shmflink.core.types.typeinfo import ColumnsTypeInfo, TypeInformation
from shmflink.errors import InternalError, StateMismatchError
from shmflink.operators.time.watermark_emitter import WatermarkEmitter

__all__ = ["ReaderSplits", "SplitProgress", "loaded_rest"]


@dataclass(frozen=True, slots=True)
class SplitProgress:
    """A split in a snapshot: the position from which it is read, and the event time of the rows read before it.

    `rest`: rows that were read and not emitted, in the form of `dumps_elements`; they come before the position. `split`
    is None if the reader no longer had the split.
    """

    split: Split | None
    watermark_ms: int = MIN_TIMESTAMP_MS
    rest: bytes = b""

    def __post_init__(self) -> None:
        """Contains the bytes of a checkpoint that must not be unpickled."""
        if self.rest and not is_plain(self.rest):
            raise ValueError("the rows of a split are not in plain form")


@dataclass(slots=True)
class _Waiting:
    """A split that the reader has and has not begun, with the rows that were read from it before a restore."""

    watermark_ms: int
    rest: Batch | None


class ReaderSplits:
    """Tracks the splits of a reader that reads them in the order in which they were added.

    A batch may be emitted in pieces: the snapshot includes its rest, because the reader's position is behind it. A
    reader that does not report which split it reads (`SourceReader.splits_begun`) has one event time for all of them.
    """

    def __init__(self, reader: SourceReader, emitter: WatermarkEmitter, row_type: TypeInformation | None) -> None:
        self._reader = reader
        self._emitter = emitter
        self._row_type = row_type
        self._tells = type(reader).splits_begun is not SourceReader.splits_begun
        self._begun = 0
        self._waiting: deque[_Waiting] = deque()
        self._orphans: deque[bytes] = deque()  # rests without a split to wait for
        self._rest: Batch | None = None  # from `_at` on: cutting its end off for every piece would copy it each time
        self._at = 0
        self._rest_of: _Waiting | None = None  # the split that it belongs to; None: the current split

    def add(self, progress: SplitProgress) -> None:
        """From now on the split counts for event time, read or not."""
        if progress.split is not None:
            self._reader.add_split(progress.split)
        if progress.split is not None and self._tells:
            rest = loaded_rest(progress.rest, self._row_type) if progress.rest else None
            self._waiting.append(_Waiting(progress.watermark_ms, rest))
            self._hold()
        elif progress.rest:
            self._orphans.append(progress.rest)

    def follow(self) -> None:
        """The reader was polled and may have moved to another split; the splits in between had no rows."""
        begun = self._reader.splits_begun
        if begun == self._begun:
            return
        while self._begun < begun:
            self._begun += 1
            self._emitter.begin(self._waiting.popleft().watermark_ms if self._waiting else MIN_TIMESTAMP_MS)
        self._hold()

    @property
    def has_rest(self) -> bool:
        """Whether `take` has something."""
        return self._rest is not None or bool(self._orphans) or any(one.rest is not None for one in self._waiting)

    def keep(self, batch: Batch) -> None:
        """A batch of the current split, to be taken in pieces. There must be no rest."""
        assert not self.has_rest, "a batch was read before the one before was handed on"
        self._rest, self._at = batch, 0

    def take(self, rows: int) -> Batch:
        """The next rows that were read, at most `rows_max`. Called only if there are any."""
        if self._rest is None:
            self._next_rest()
        rest, at = self._rest, self._at
        assert rest is not None, "take() without a rest"
        if rest.num_rows - at <= rows:
            self._rest = None
            return rest if at == 0 else rest.slice(at, rest.num_rows - at)
        self._at = at + rows
        return rest.slice(at, rows)

    def _open_rest(self) -> Batch | None:
        rest = self._rest
        return rest if rest is None or not self._at else rest.slice(self._at, rest.num_rows - self._at)

    def taken(self) -> None:
        """The emitter has seen the rows of the last `take`."""
        if self._rest_of is not None and self._rest is None:
            self._rest_of.watermark_ms = self._emitter.split_watermark_ms
            self._rest_of = None
            self._hold()

    def progress(self) -> list[SplitProgress]:
        """What is left of the split that is being read, if any, and of those that wait."""
        splits: list[Split | None] = list(self._reader.snapshot())
        in_hand = _Waiting(self._emitter.split_watermark_ms, self._open_rest() if self._rest_of is None else None)
        if in_hand.rest is not None and len(splits) == len(self._waiting):
            splits.insert(0, None)
        known = [in_hand] * (len(splits) - len(self._waiting)) + [self._known(one) for one in self._waiting]
        told = [SplitProgress(split, one.watermark_ms) for split, one in zip(splits, known, strict=self._tells)]
        for at, one in enumerate(known):
            if one.rest is not None and (one is not in_hand or at == 0):
                told[at] = SplitProgress(told[at].split, one.watermark_ms, dumps_elements([one.rest]))
        return told + [SplitProgress(None, rest=rest) for rest in self._orphans]

    def _known(self, waiting: _Waiting) -> _Waiting:
        is_open = waiting is self._rest_of
        return _Waiting(self._emitter.split_watermark_ms, self._open_rest()) if is_open else waiting

    def _hold(self) -> None:
        """Splits that wait hold event time back; a split whose rest is being emitted counts as read."""
        times = [one.watermark_ms for one in self._waiting if one is not self._rest_of]
        self._emitter.hold(min(times, default=None))

    def _next_rest(self) -> None:
        """Rows that were read before a restore come before all others of their split."""
        if self._orphans:
            self._rest, self._at = loaded_rest(self._orphans.popleft(), self._row_type), 0
            return
        self._rest_of = next(one for one in self._waiting if one.rest is not None)
        self._rest, self._at, self._rest_of.rest = self._rest_of.rest, 0, None
        self._emitter.begin(self._rest_of.watermark_ms)
        self._hold()

    def elements(self, batch: Batch) -> Iterator[Batch | Watermark | WatermarkStatus]:
        """The batch that `take` returned, with its timestamps and the watermarks within it."""
        yield from self._emitter.through(batch)
        self.taken()

    def on_periodic(self, *, is_paused: bool = False) -> None:
        """The watermark interval has passed."""
        self._emitter.on_periodic(is_paused=is_paused)

    def align(self, limit_ms: int) -> bool:
        """Does nothing: splits that are read one after the other wait with their reader."""
        return False

    def ended(self, split_id: str) -> None:
        """Not reported by readers of one split after the other."""
        raise InternalError(f"a reader that reads one split at a time reported the end of the split {split_id!r}")


def loaded_rest(rest: bytes, wanted: TypeInformation | None) -> Batch:
    """Rows of a `SplitProgress`, of the type that the source produces now."""
    (batch,) = loads_elements(rest)
    assert isinstance(batch, Batch)
    if isinstance(wanted, ColumnsTypeInfo) and batch.is_columnar:
        batch = _with_columns(batch, wanted)
    batch.row_type = wanted
    return batch


def _with_columns(batch: Batch, wanted: ColumnsTypeInfo) -> Batch:
    """The columns that the job reads now, which may be fewer than when the checkpoint was taken."""
    columns: Any = batch.columns()
    missing = [field.name for field in wanted.schema if columns.schema.get_field_index(field.name) < 0]
    if missing:
        raise StateMismatchError(
            f"the checkpoint holds rows that its source had read, without the column `{missing[0]}`, which the job "
            "reads now: let the former job go on until a savepoint holds no such rows, or start without it"
        )
    chosen = columns if columns.schema.equals(wanted.schema) else columns.select(wanted.schema.names)
    return Batch.of_columns(chosen, wanted, timestamps=batch.timestamps, keys=batch.keys)


register_plain(SplitProgress)
