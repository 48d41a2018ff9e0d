"""The writer of a FileSink in one subtask."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any, Final

from shmflink.connectors.base import SinkWriter
from shmflink.connectors.file_system.part_writers import PartWriters, WriterSettings
from shmflink.connectors.file_system.publish import publish
from shmflink.connectors.outbox import Outbox
from shmflink.core.batch import Batch
from shmflink.core.clock import Clock
from shmflink.errors import ResourceError
from shmflink.operators.base import OperatorContext

__all__ = ["FileSinkWriter", "Publishing"]

_BATCHES_WAITING_MAX: Final = 3
"""Between the slot's thread and the sink's: each is a few MiB."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """When whole parts become visible: at the end of the job, or as soon as they are whole.

    Every `check_interval_ms` the sink looks for parts that are full by their age.
    """

    when_rolled: bool
    check_interval_ms: int


class FileSinkWriter(SinkWriter):
    """Makes batches independent of the slot's memory; a thread of its own splits, encodes and waits for the disk."""

    def __init__(self, settings: WriterSettings, publishing: Publishing, context: OperatorContext) -> None:
        self._settings = settings
        self._clock: Clock = context.clock
        self._made_base_path = settings.files.is_local(settings.base_path) and _make_directory(settings.base_path)
        self._output = _Output(PartWriters(settings), publishing, context.clock)
        self._outbox = Outbox(
            f"files {context.task_name}",
            context.mailbox,
            self._output.write,
            self._output.complete,
            items_max=_BATCHES_WAITING_MAX,
            idle=self._output.roll,
            idle_seconds=publishing.check_interval_ms / 1000,
        )

    def write(self, batch: Batch) -> None:
        if batch.num_rows:
            now_ms = self._clock.processing_time_ms()
            self._outbox.put((now_ms, self._pieces(batch, now_ms)))

    @property
    def is_available(self) -> bool:
        return self._outbox.is_available

    def finish(self) -> None:
        self._outbox.finish()

    @property
    def is_finished(self) -> bool:
        return self._outbox.is_finished

    def close(self) -> None:
        if self._outbox.close() and not self._output.is_complete:
            self._output.discard()
            if self._made_base_path:
                with contextlib.suppress(OSError):
                    os.rmdir(self._settings.base_path)

    def _pieces(self, batch: Batch, now_ms: int) -> list[tuple[str | None, Any]]:
        """By bucket; one piece without a bucket where the other thread is to split it."""
        buckets, output_format = self._settings.buckets, self._settings.output_format
        if not buckets.is_by_value:
            return [(buckets.bucket_of(now_ms), output_format.encode(batch))]
        if output_format.is_bulk:
            return [(None, output_format.encode(batch))]
        # Text of whole records cannot be taken apart later.
        pieces = [(bucket, Batch.of_columns(buckets.strip(rows))) for bucket, rows in buckets.split(batch.columns())]
        return [(bucket, output_format.encode(piece)) for bucket, piece in pieces]


class _Output:
    """Between writing parts and publishing them. Used by the outbox's thread alone, `discard` after it ended."""

    def __init__(self, parts: PartWriters, publishing: Publishing, clock: Clock) -> None:
        self._parts = parts
        self._when_rolled = publishing.when_rolled
        self._check_interval_ms = publishing.check_interval_ms
        self._clock = clock
        self._checked_ms = clock.processing_time_ms()
        self.is_complete = False

    def write(self, item: tuple[int, Any]) -> None:
        now_ms, pieces = item
        self._parts.write(now_ms, pieces)
        if now_ms - self._checked_ms >= self._check_interval_ms:
            self.roll()
        elif self._when_rolled:
            self._publish()

    def roll(self) -> None:
        """Looks for parts that are full by their age or because nothing is written to them."""
        self._checked_ms = self._clock.processing_time_ms()
        self._parts.roll(self._checked_ms)
        if self._when_rolled:
            self._publish()

    def complete(self) -> None:
        self._parts.finish(self._clock.processing_time_ms())
        self._publish()
        self.is_complete = True

    def discard(self) -> None:
        self._parts.discard()

    def _publish(self) -> None:
        publish(self._parts.take_finished())


def _make_directory(path: str) -> bool:
    """True where it was made here."""
    try:
        os.makedirs(path)
        return True
    except FileExistsError:
        if os.path.isdir(path):
            return False
        raise ResourceError(f"{path}: a file sink writes into a directory, this is a file") from None
    except OSError as error:
        raise ResourceError(f"{path}: cannot be made: {error.strerror}") from error
