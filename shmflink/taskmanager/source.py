"""The head of a source task: drives a source's reader and asks for splits.

In this layer and not among `operators`, because operators must not know of connectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from shmflink.connectors.base import Poll, Source, SourceReader, Split, SplitBatch, SplitEnd
from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, MIN_TIMESTAMP_MS, Barrier, Watermark, WatermarkStatus
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.errors import InternalError, StateMismatchError, UsageError
from shmflink.operators.base import Operator, OperatorContext, SideOutput
from shmflink.operators.time.split_watermarks import SplitWatermarks
from shmflink.operators.time.timestamps_and_watermarks import watermark_interval_ms
from shmflink.operators.time.watermark_emitter import TimestampAssignment, WatermarkEmitter
from shmflink.state.operator_state import OperatorStatePart, Redistribution
from shmflink.state.snapshots import OperatorSnapshot, RestoredState
from shmflink.taskmanager.concurrent_splits import ConcurrentSplits
from shmflink.taskmanager.source_splits import ReaderSplits, SplitProgress

__all__ = ["SPLITS_STATE", "SourceOperator"]

SPLITS_STATE: Final = "_splits"
"""Name of the operator state: splits with their positions, redistributed when the parallelism changes."""

_SPLITS_TYPE: Final = "splits"
_ALL_ROWS: Final = 2**63


class SourceOperator(Operator):
    """Opens the reader, polls it, and has at most one split request in flight."""

    def __init__(self, source: Source, watermark_strategy: WatermarkStrategy | None = None) -> None:
        self._source = source
        self._strategy = watermark_strategy or WatermarkStrategy.no_watermarks()
        self._assignment = TimestampAssignment(self._strategy.timestamp_assigner)
        self._limit_ms = MAX_WATERMARK.timestamp_ms
        self._reader: SourceReader | None = None
        self._request_split: Callable[[], None] = _no_splits
        self._is_request_pending = False
        self._is_waiting = False
        self._is_held = False
        self._has_ended = False  # by `end`
        self._left: list[SplitProgress] = []  # to read, when it ended
        self._restored_ms = MIN_TIMESTAMP_MS

    def open(self, context: OperatorContext) -> None:
        self._time = context.processing_time
        self._name = context.operator_name
        strategy = WatermarkStrategy.no_watermarks() if context.is_batch else self._strategy
        self._interval_ms = watermark_interval_ms(context)
        self._assignment.open(context)
        self._reader = self._source.create_reader(context)
        self._open_splits(self._reader, strategy, context)
        for progress in _splits_of(context.restored):
            self._add(progress)
        if strategy.makes_watermarks and self._interval_ms > 0:
            self._time.schedule(self._time.now_ms() + self._interval_ms, self._on_interval)

    def _open_splits(self, reader: SourceReader, strategy: WatermarkStrategy, context: OperatorContext) -> None:
        row_type = self._source.produced_type
        self._emitter: WatermarkEmitter | SplitWatermarks
        self._splits: ReaderSplits | ConcurrentSplits
        if reader.reads_concurrently:
            self._emitter = SplitWatermarks(strategy, context.clock)
            self._splits = ConcurrentSplits(reader, self._emitter, row_type)
        else:
            self._emitter = WatermarkEmitter(strategy, context.clock)
            self._splits = ReaderSplits(reader, self._emitter, row_type)
        self._emitter.restore(self._restored_ms)

    def connect(self, request_split: Callable[[], None]) -> None:
        """Sets the function that requests a split; `assign` delivers the answer."""
        self._request_split = request_split

    @property
    def has_input(self) -> bool:
        """False while only a split or the mailbox's `wake` can bring input, and while the source is held."""
        if self._is_held or self._has_ended:
            return not self._is_held
        return not self._is_waiting and self._emitter.watermark_ms <= self._limit_ms

    def align(self, limit_ms: int) -> None:
        """Reading stops while the watermark is beyond the limit: others of the group are behind."""
        self._limit_ms = limit_ms
        self._align_splits()

    def _align_splits(self) -> None:
        if self._splits.align(self._limit_ms):
            self.wake()  # splits may be read again

    def hold(self, is_held: bool) -> None:
        """`is_held`: nothing is read until `hold(False)`, because a savepoint stops the job
        (`TriggerCheckpoint.stops`).
        """
        self._is_held = is_held

    def end(self, *, drained: bool) -> None:
        """The input ends here, although there may be more: `poll` returns END. Splits that arrive later are not read.

        `drained`: the job ends for good, as if its input had ended. Otherwise it resumes from a savepoint.
        """
        assert self._reader is not None, "end() before open()"
        self._left = self._splits.progress()
        self._has_ended = True
        self._is_held = False
        self._reader.stop(drained=drained)

    def restore_watermark(self, watermark_ms: int) -> None:
        """Restores the watermark of the checkpoint: later watermarks are not below it. Called before the first
        `poll`.
        """
        self._restored_ms = watermark_ms
        if self._reader is not None:
            self._emitter.restore(watermark_ms)

    def snapshot_state(self, barrier: Barrier) -> OperatorSnapshot:
        """The splits, with the reader's positions. A split request in flight is not part of it: after a restore the
        reader requests again.
        """
        assert self._reader is not None, "snapshot_state() before open()"
        splits = self._left if self._has_ended else self._splits.progress()
        part = OperatorStatePart(Redistribution.SPLIT_DISTRIBUTE, splits, _SPLITS_TYPE)
        return OperatorSnapshot(operator_state={SPLITS_STATE: part})

    def checkpoint_completed(self, checkpoint_id: int) -> None:
        if self._reader is not None:
            self._reader.checkpoint_completed(checkpoint_id)

    def wake(self) -> None:
        """New input may have arrived: polls again."""
        has_others = self._reader is not None and self._reader.reads_concurrently
        self._is_waiting = self._is_request_pending and not has_others

    def assign(self, split: Split | None, *, exhausted: bool) -> None:
        """The answer to a request: a split, none for now (the enumerator will send one), or none ever again."""
        assert self._reader is not None, "a split came before open()"
        if split is None and not exhausted:
            return  # the request stays in flight
        self._is_request_pending = False
        self._is_waiting = False
        if split is not None and self._has_ended:
            self._left.append(
                SplitProgress(split)
            )  # requested before the end; a job that resumes from the savepoint has to read it
        elif split is not None:
            self._add(SplitProgress(split))
        if exhausted:
            self._reader.no_more_splits()

    @property
    def is_per_record(self) -> bool:  # type: ignore[override]
        return self._assignment.is_per_record or self._strategy.generator is not None

    def poll(self, rows_max: int = _ALL_ROWS) -> Batch | SideOutput | Poll:
        """The next batch (of at most `rows_max` rows) or side output; WAIT or AGAIN if there is none now; or END."""
        assert self._reader is not None, "poll() before open()"
        if self._has_ended:
            return Poll.END
        if not self._splits.has_rest:
            answer = self._read(self._reader)
            if answer is not None:
                return answer
        return self._assignment.stamped(self._splits.take(rows_max))

    def _read(self, reader: SourceReader) -> SideOutput | Poll | None:
        """None: there is something to take."""
        answer = reader.poll()
        splits = self._splits
        if isinstance(splits, ReaderSplits):
            splits.follow()
            if isinstance(answer, Batch):
                splits.keep(answer)
                return None
        elif isinstance(answer, SplitBatch):
            splits.keep(answer)
            return None
        if isinstance(answer, SplitEnd):
            splits.ended(answer.split_id)
            return Poll.AGAIN
        if isinstance(answer, (Batch, SplitBatch)):
            raise UsageError(
                f"the source '{self._name}': {type(reader).__name__}.poll() returned a {type(answer).__name__}; it "
                "must return SplitBatch if it has reads_concurrently = True, otherwise Batch"
            )
        return self._without_batch(answer)

    def _without_batch(self, answer: SideOutput | Poll) -> SideOutput | Poll:
        if answer is Poll.NEED_SPLIT:
            if isinstance(self._emitter, WatermarkEmitter):
                self._emitter.release()
            self._is_waiting = True
            if not self._is_request_pending:
                self._is_request_pending = True
                self._request_split()
            return Poll.WAIT
        if answer is Poll.WAIT:
            self._is_waiting = True
        return answer

    def elements(self, batch: Batch) -> Iterator[Batch | Watermark | WatermarkStatus]:
        """The batch that `poll` returned, with the watermarks within it and directly after it."""
        yield from self._splits.elements(batch)
        if self._interval_ms == 0:
            self._splits.on_periodic()
        self._align_splits()
        yield from self._emitter.drain()

    def _add(self, progress: SplitProgress) -> None:
        """Checkpoints of older releases do not record the kind of source that wrote them; the splits reveal it."""
        split, kinds, source = progress.split, self._source.split_payloads, self._source
        if split is not None and kinds and not isinstance(split.payload, kinds):
            raise StateMismatchError(
                f"the source '{self._name}', a {source.state_kind}, cannot read the split {split.split_id!r} of the "
                f"checkpoint: a source of another kind wrote it, a {type(split.payload).__name__}. Restore that "
                "source, or give this one another uid and drop the state (--allow-non-restored-state)"
            )
        self._splits.add(progress)

    def _on_interval(self, at_ms: int) -> Iterator[Watermark | WatermarkStatus]:
        self._splits.on_periodic(is_paused=self._emitter.watermark_ms > self._limit_ms)
        self._align_splits()
        self._time.schedule(self._time.now_ms() + self._interval_ms, self._on_interval)
        return self._emitter.drain()

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch]:
        raise InternalError("a source has no input")

    def close(self) -> None:
        self._assignment.close()
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _splits_of(restored: RestoredState) -> Sequence[SplitProgress]:
    """Checkpoints of earlier versions hold only splits: their event time is not known."""
    part = restored.operator_state.get(SPLITS_STATE)
    elements = [] if part is None else part.elements
    return [one if isinstance(one, SplitProgress) else SplitProgress(one) for one in elements]


def _no_splits() -> None:
    raise InternalError("a source was polled before connect()")
