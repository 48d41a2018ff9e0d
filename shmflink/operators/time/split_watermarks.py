"""Event time of splits that are read concurrently.

Source: Flink's WatermarkOutputMultiplexer, and SourceOutputWithWatermarks.createOutputForSplit.
"""

from __future__ import annotations

from collections.abc import Iterator

from shmflink.core.batch import Batch
from shmflink.core.clock import Clock
from shmflink.core.elements import MIN_TIMESTAMP_MS, Watermark, WatermarkStatus
from shmflink.core.watermark_strategy import WatermarkStrategy
from shmflink.operators.time.watermark_emitter import WatermarkEmitter

__all__ = ["SplitWatermarks"]


class SplitWatermarks:
    """The watermark is the minimum over all splits that are not idle; it never goes back. Idle if all splits are.

    A new split holds event time back until its own has caught up. Without any split, only the idle timeout
    counts.
    """

    def __init__(self, strategy: WatermarkStrategy, clock: Clock) -> None:
        self._strategy = strategy
        self._clock = clock
        self._splits: dict[str, WatermarkEmitter] = {}
        self._idle: set[str] = set()
        self._without_splits = WatermarkEmitter(strategy, clock)
        self._emitted_ms = MIN_TIMESTAMP_MS
        self._is_idle = False
        self._out: list[Watermark | WatermarkStatus] = []

    @property
    def watermark_ms(self) -> int:
        """The last watermark emitted; MIN_TIMESTAMP_MS before the first."""
        return self._emitted_ms

    def restore(self, watermark_ms: int) -> None:
        """Resumes from a checkpoint: nothing up to its watermark is emitted again."""
        self._emitted_ms = watermark_ms

    # --- splits ---

    def add(self, split_id: str, watermark_ms: int) -> None:
        """Starts a split at this event time, MIN_TIMESTAMP_MS if unknown."""
        emitter = self._splits[split_id] = WatermarkEmitter(self._strategy, self._clock)
        emitter.begin(watermark_ms)
        self._take(split_id)

    def end(self, split_id: str) -> None:
        """The split no longer holds event time back."""
        self._splits.pop(split_id, None)
        self._idle.discard(split_id)
        self._advance()

    def split_ms(self, split_id: str) -> int:
        """A split's progress: the value with which `add` resumes."""
        emitter = self._splits.get(split_id)
        return MIN_TIMESTAMP_MS if emitter is None else emitter.split_watermark_ms

    def ahead_of(self, limit_ms: int) -> frozenset[str]:
        """Splits whose watermark is beyond the limit."""
        return frozenset(name for name, emitter in self._splits.items() if emitter.watermark_ms > limit_ms)

    # --- elements ---

    def through(self, split_id: str, batch: Batch) -> Iterator[Batch | Watermark | WatermarkStatus]:
        """A batch of the split, cut where the user's own generator advances the minimum between two rows."""
        for element in self._splits[split_id].through(batch):
            if isinstance(element, Batch):
                yield element
            else:
                self._note(split_id, element)
                yield from self.drain()
        self._take(split_id)

    def on_periodic(self, paused: frozenset[str] = frozenset(), *, is_paused: bool = False) -> None:
        """The interval has passed. A split that is paused so that others catch up is not idle, nor is any if
        all are paused.
        """
        if not self._splits:
            self._without_splits.on_periodic(is_paused=is_paused)
            for element in self._without_splits.drain():
                if isinstance(element, WatermarkStatus):
                    self._say_idle(is_idle=element.idle)
        for name, emitter in self._splits.items():
            emitter.on_periodic(is_paused=is_paused or name in paused)
            self._take(name)

    def drain(self) -> Iterator[Watermark | WatermarkStatus]:
        """What must be emitted now, in order."""
        out, self._out = self._out, []
        return iter(out)

    def _take(self, split_id: str) -> None:
        for element in self._splits[split_id].drain():
            self._note(split_id, element)
        self._advance()

    def _note(self, split_id: str, element: Watermark | WatermarkStatus) -> None:
        if isinstance(element, WatermarkStatus):
            (self._idle.add if element.idle else self._idle.discard)(split_id)
        self._advance()

    def _advance(self) -> None:
        if not self._splits:
            return
        active = [emitter.watermark_ms for name, emitter in self._splits.items() if name not in self._idle]
        self._say_idle(is_idle=not active)
        if active and min(active) > self._emitted_ms:
            self._emitted_ms = min(active)
            self._out.append(Watermark(self._emitted_ms))

    def _say_idle(self, *, is_idle: bool) -> None:
        if is_idle is not self._is_idle:
            self._is_idle = is_idle
            self._out.append(WatermarkStatus(idle=is_idle))
