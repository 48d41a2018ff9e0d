"""`assign_timestamps_and_watermarks`: replaces a stream's timestamps and watermarks by those of a strategy."""

from __future__ import annotations

from collections.abc import Iterator

from shmflink.config.options import AUTO_WATERMARK_INTERVAL
from shmflink.core.batch import Batch
from shmflink.core.elements import MAX_WATERMARK, ControlElement, Element, Watermark, WatermarkStatus
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.operators.base import Operator, OperatorContext
from shmflink.operators.time.watermark_emitter import TimestampAssignment, WatermarkEmitter

__all__ = ["TimestampsAndWatermarksOperator", "watermark_interval_ms"]


class TimestampsAndWatermarksOperator(Operator):
    """Drops incoming watermarks except the one that ends the input, and watermark statuses, as in Flink.

    Emits watermarks every `pipeline.auto-watermark-interval`, 0 = after every batch; none in BATCH mode.
    """

    def __init__(self, strategy: WatermarkStrategy) -> None:
        self._strategy = strategy
        self._assignment = TimestampAssignment(strategy.timestamp_assigner)

    @property
    def is_per_record(self) -> bool:  # type: ignore[override]
        return self._assignment.is_per_record or self._strategy.generator is not None

    @property
    def assigns(self) -> bool:
        """Whether it sets timestamps; otherwise records keep theirs."""
        return self._strategy.timestamp_assigner is not None

    def open(self, context: OperatorContext) -> None:
        self._time = context.processing_time
        self._assignment.open(context)
        strategy = WatermarkStrategy.no_watermarks() if context.is_batch else self._strategy
        self._emitter = WatermarkEmitter(strategy, context.clock)
        self._interval_ms = watermark_interval_ms(context)
        if self._interval_ms > 0 and not context.is_batch:
            self._time.schedule(self._time.now_ms() + self._interval_ms, self._on_interval)

    def process(self, batch: Batch, input_index: int = 0) -> Iterator[Batch | Watermark | WatermarkStatus]:  # type: ignore[override]
        yield from self._emitter.through(self._assignment.stamped(batch))
        if self._interval_ms == 0:
            self._emitter.on_periodic()
        yield from self._emitter.drain()

    def process_control(self, element: ControlElement) -> Iterator[Element]:
        if isinstance(element, WatermarkStatus) or (isinstance(element, Watermark) and element != MAX_WATERMARK):
            return
        yield element

    def close(self) -> None:
        self._assignment.close()

    def _on_interval(self, at_ms: int) -> Iterator[Watermark | WatermarkStatus]:
        self._emitter.on_periodic()
        self._time.schedule(self._time.now_ms() + self._interval_ms, self._on_interval)
        yield from self._emitter.drain()


def watermark_interval_ms(context: OperatorContext) -> int:
    """`pipeline.auto-watermark-interval` of the job."""
    return AUTO_WATERMARK_INTERVAL.read(context.configuration)
