"""The writer of a FileSink in one subtask."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pyarrow as pa

from shmflink.connectors.base import SinkWriter
from shmflink.connectors.file_system.writing.parts.base_folder import BaseFolder
from shmflink.connectors.file_system.writing.parts.part_file import FinishedPart
from shmflink.connectors.file_system.writing.parts.part_writers import PartWriters, WriterSettings
from shmflink.connectors.file_system.writing.parts.publish import in_threads, publish, sync_folder
from shmflink.connectors.file_system.writing.parts.staging import (
    EmptyFile,
    StagedFile,
    restored_part,
    sync_kept,
    tag_of,
)
from shmflink.connectors.file_system.writing.replacing import ReplacedFiles, SinkMode, files_before, refuse_files_before
from shmflink.core.batch import Batch
from shmflink.core.clock import Clock
from shmflink.core.lazy_dataclass import dataclass
from shmflink.core.outbox import Outbox
from shmflink.errors import ResourceError
from shmflink.operators.base import OperatorContext

__all__ = ["FileSinkWriter", "Publishing"]

_BATCHES_WAITING_MAX: Final = 3
"""Items between the slot's thread and the sink's thread; each has a few MiB."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """When complete parts become visible: at the end of the job, or immediately.

    With checkpoints, instead, when the checkpoint is complete. Every `check_interval_ms` the sink looks for parts that
    are full by their age.
    """

    when_rolled: bool
    check_interval_ms: int
    mode: SinkMode = "append"
    no_rows: pa.Schema | None = None
    """The columns of the file that is written if there are no rows; None: no file is written then."""


class FileSinkWriter(SinkWriter):
    """Makes batches independent of the slot's memory; a separate thread splits, encodes and waits for the disk.

    At a barrier that thread closes the parts. If the format can be truncated and the rolling policy does not roll at
    checkpoints, it records their lengths instead. The thread that collects the committables makes them durable.
    """

    def __init__(
        self,
        settings: WriterSettings,
        publishing: Publishing,
        context: OperatorContext,
        states: Sequence[StagedFile] = (),
    ) -> None:
        """`states`: files that were in progress at the restored checkpoint."""
        self._settings = settings = replace(settings, tag=tag_of(context))
        self._clock: Clock = context.clock
        is_local = settings.files.is_local(settings.base_path)
        self._folder = BaseFolder(settings.base_path) if is_local else None
        self._keeps_open = is_local and settings.output_format.is_resumable and not settings.rolling.rolls_on_checkpoint
        self._is_ending = False
        self._replaced = _replaced(settings, publishing, context)
        self._has_uncommitted = bool(states) or self._replaced is not None
        self._no_rows = None if states else _no_rows(settings, publishing, context)
        self._prepared: Callable[[], _Prepared] = _Prepared
        self._staging: list[_Staging] = []
        self._output = _Output(PartWriters(settings), publishing, context.clock, states)
        self._outbox = Outbox(
            f"files {context.task_name}",
            context.mailbox,
            self._output.write,
            items_max=_BATCHES_WAITING_MAX,
            idle=self._output.roll,
            idle_seconds=publishing.check_interval_ms / 1000,
        )
        if states:
            self._outbox.call(self._output.restore)

    def write(self, batch: Batch) -> None:
        if batch.num_rows:
            self._has_uncommitted = True
            self._no_rows = None
            now_ms = self._clock.processing_time_ms()
            self._outbox.put((now_ms, self._pieces(batch, now_ms)))

    def prepare_commit(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        keeps_open = self._keeps_open and not self._is_ending
        self._has_uncommitted &= keeps_open
        return self._prepare(keeps_open=keeps_open)

    def prepare_savepoint(self, checkpoint_id: int) -> Callable[[], Sequence[Any]]:
        """Closes every part: two jobs that start from the savepoint cannot both resume one file."""
        self._has_uncommitted = False
        return self._prepare(keeps_open=False)

    def snapshot(self) -> Callable[[], Sequence[StagedFile]]:
        prepared = self._prepared

        def kept() -> Sequence[StagedFile]:
            found = prepared().kept
            sync_kept(found)
            if found:
                sync_folder(self._settings.base_path)
            return found

        return kept

    @property
    def has_uncommitted(self) -> bool:
        return self._has_uncommitted

    @property
    def is_available(self) -> bool:
        return self._outbox.is_available

    def finish(self) -> None:
        """Makes the next `prepare_commit` close every part."""
        self._outbox.raise_error()
        self._is_ending = True
        self._has_uncommitted |= self._no_rows is not None

    @property
    def is_finished(self) -> bool:
        self._outbox.raise_error()
        return self._is_ending

    def close(self) -> None:
        if self._outbox.close():
            for staging in self._staging:
                staging.abandon()
            self._output.discard()
            if self._folder is not None:
                self._folder.release(removes=not self._is_ending or self._outbox.error is not None)

    def _pieces(self, batch: Batch, now_ms: int) -> list[tuple[str | None, Any]]:
        """The pieces by bucket; one piece without a bucket if the other thread must split it."""
        buckets, output_format = self._settings.buckets, self._settings.output_format
        if not buckets.is_by_value:
            return [(buckets.bucket_of(now_ms), output_format.encode(batch))]
        if output_format.is_bulk:
            return [(None, output_format.encode(batch))]
        # Encoded text cannot be split into records later.
        pieces = [(bucket, Batch.of_columns(buckets.strip(rows))) for bucket, rows in buckets.split(batch.columns())]
        return [(bucket, output_format.encode(piece)) for bucket, piece in pieces]

    def _prepare(self, *, keeps_open: bool) -> Callable[[], Sequence[Any]]:
        no_rows, self._no_rows = (self._no_rows, None) if self._is_ending else (None, self._no_rows)
        replaced, self._replaced = self._replaced, None
        self._prepared = self._outbox.call(lambda: self._output.prepare(keeps_open=keeps_open, no_rows=no_rows))
        is_local = self._settings.files.is_local(self._settings.base_path)
        self._staging = [staging for staging in self._staging if not staging.is_done]
        self._staging.append(_Staging(self._prepared, self._settings.base_path if is_local else None))
        return partial(_committables, self._staging[-1].stage, replaced, is_empty=no_rows is not None)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The parts at one barrier: complete parts to be staged, restored ones that already are, and those still in
    progress.
    """

    parts: Sequence[FinishedPart] = ()
    staged: Sequence[StagedFile] = ()
    kept: Sequence[StagedFile] = ()


class _Staging:
    """Turns complete parts into staged ones, in another thread; stops once the writer is closed."""

    def __init__(self, prepared: Callable[[], _Prepared], folder: str | None) -> None:
        """`folder`: the local folder to sync."""
        self._prepared = prepared
        self._folder = folder
        self._lock = threading.Lock()
        self._is_abandoned = False
        self.is_done = False

    def stage(self) -> list[StagedFile]:
        prepared = self._prepared()
        with self._lock:
            if self._is_abandoned:
                raise ResourceError("the writer was closed before its files were staged")
            staged = [*prepared.staged, *in_threads(_stage, prepared.parts)]
            if staged and self._folder is not None:
                sync_folder(self._folder)
            self.is_done = True
        return staged

    def abandon(self) -> None:
        """Discards what was not staged. The outbox is closed, so this does not wait."""
        with self._lock:
            self._is_abandoned = True
            if self.is_done:
                return
            with contextlib.suppress(Exception):  # it was never prepared
                for part in self._prepared().parts:
                    part.discard()


class _Output:
    """Parts from their first row until a checkpoint or the end takes them. Used only by the outbox's thread; `discard`
    after the thread has ended.
    """

    def __init__(
        self, parts: PartWriters, publishing: Publishing, clock: Clock, restored: Sequence[StagedFile]
    ) -> None:
        self._parts = parts
        self._restored = list(restored)
        self._when_rolled = publishing.when_rolled
        self._check_interval_ms = publishing.check_interval_ms
        self._clock = clock
        self._checked_ms = clock.processing_time_ms()

    def restore(self) -> None:
        """Truncates the files that were in progress to their length at the checkpoint."""
        for state in self._restored:
            restored_part(state)

    def write(self, item: tuple[int, Any]) -> None:
        now_ms, pieces = item
        self._parts.write(now_ms, pieces)
        if now_ms - self._checked_ms >= self._check_interval_ms:
            self.roll()
        elif self._when_rolled:
            publish(self._parts.take_finished())

    def roll(self) -> None:
        """Looks for parts that are full by age or inactivity."""
        self._checked_ms = self._clock.processing_time_ms()
        self._parts.roll(self._checked_ms)
        if self._when_rolled:
            publish(self._parts.take_finished())

    def prepare(self, *, keeps_open: bool, no_rows: pa.RecordBatch | None = None) -> _Prepared:
        now_ms = self._clock.processing_time_ms()
        if no_rows is not None:
            self._parts.begin_empty(no_rows, now_ms)
        kept: list[StagedFile] = []
        if keeps_open:
            self._parts.roll(now_ms)
            kept = self._parts.keep_open(now_ms)
        else:
            self._parts.finish(now_ms)
        restored, self._restored = self._restored, []
        return _Prepared(self._parts.take_finished(), restored, kept)

    def discard(self) -> None:
        self._parts.discard()


def _stage(part: FinishedPart) -> StagedFile:
    try:
        return part.stage()
    except OSError as error:
        raise ResourceError(f"{part.path}: cannot be written: {error.strerror or error}") from error


def _replaced(settings: WriterSettings, publishing: Publishing, context: OperatorContext) -> ReplacedFiles | None:
    """The files that this job overwrites; None if it overwrites nothing or resumes.

    Raises:
        JobGraphError: the mode is `error`, and there are files.
    """
    begins = context.subtask_index == 0 and context.restored.checkpoint_id is None
    if publishing.mode == "append" or not begins:
        return None
    if publishing.mode == "error":
        refuse_files_before(settings.files, settings.base_path)
        return None
    before = files_before(settings.files, settings.base_path)
    return ReplacedFiles(before) if before else None


def _no_rows(settings: WriterSettings, publishing: Publishing, context: OperatorContext) -> pa.RecordBatch | None:
    """The encoded content of the file that is written if there are no rows; None: no file."""
    is_mine = context.is_batch and context.subtask_index == 0
    if publishing.no_rows is None or not is_mine or settings.buckets.is_by_value:
        return None
    empty = pa.RecordBatch.from_pylist([], schema=publishing.no_rows)
    encoded: pa.RecordBatch = settings.output_format.encode(Batch.of_columns(empty))
    return encoded


def _committables(
    stage: Callable[[], Sequence[StagedFile]], replaced: ReplacedFiles | None, *, is_empty: bool
) -> list[StagedFile | EmptyFile | ReplacedFiles]:
    """Files that existed before are removed after their replacements are visible."""
    gone = frozenset(info.path for info in replaced.files) if replaced is not None else frozenset()
    staged = [EmptyFile(each, gone) if is_empty else each for each in stage()]
    return [*staged, *(() if replaced is None else (replaced,))]
