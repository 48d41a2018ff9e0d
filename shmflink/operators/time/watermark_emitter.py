"""Event time of one input: extracts timestamps from batches and derives watermarks from them.

Source: Flink's TimestampsAndWatermarksOperator, BoundedOutOfOrdernessWatermarks, WatermarksWithIdleness.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from shmflink.core.batch import Batch
from shmflink.core.clock import Clock
from shmflink.core.elements import MIN_TIMESTAMP_MS, Watermark, WatermarkStatus
from shmflink.core.lazy_imports import pc
from shmflink.core.watermark_strategy import ColumnTimestamps, WatermarkGenerator, WatermarkOutput, WatermarkStrategy
from shmflink.errors import TypeMismatchError
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.user_function import UserFunction

__all__ = ["TimestampAssignment", "WatermarkEmitter"]

_NO_TIMESTAMP: Final = -1  # passed to an assigner if the record has no timestamp, as in PyFlink


class TimestampAssignment:
    """Assigns timestamps to batches, from a column or by the user's function."""

    def __init__(self, assigner: Any) -> None:
        """`assigner`: a TimestampAssigner, a ColumnTimestamps, or None to keep existing timestamps."""
        self._column = assigner if isinstance(assigner, ColumnTimestamps) else None
        is_function = assigner is not None and self._column is None
        self._function = UserFunction(assigner, "extract_timestamp") if is_function else None

    @property
    def is_per_record(self) -> bool:
        """Whether it calls a function of the user."""
        return self._function is not None

    def open(self, context: OperatorContext) -> None:
        self._name = context.operator_name
        if self._function is not None:
            self._function.open(context)

    def close(self) -> None:
        if self._function is not None:
            self._function.close()

    def stamped(self, batch: Batch) -> Batch:
        """The batch with its timestamps.

        Raises:
            TypeMismatchError: a timestamp is missing or not a number of milliseconds.
            UserFunctionError: the assigner failed on a record.
        """
        if self._column is not None:
            return batch.with_timestamps(self._of_column(batch, self._column.column))
        return batch if self._function is None else batch.with_timestamps(self._of_function(batch, self._function))

    def _of_column(self, batch: Batch, name: str) -> pa.Int64Array:
        columns = batch.columns()
        if name not in columns.schema.names:
            raise TypeMismatchError(
                f"operator '{self._name}': there is no column `{name}` for the timestamps; "
                f"the columns are {', '.join(columns.schema.names)}"
            )
        values = columns.column(name)
        if values.null_count:
            row = pc.index(pc.is_null(values), True).as_py()
            raise TypeMismatchError(
                f"operator '{self._name}': row {row} of the batch has no timestamp: `{name}` is null. "
                "Filter out such rows first"
            )
        return _millis(values, name, self._name)

    def _of_function(self, batch: Batch, function: UserFunction) -> pa.Int64Array:
        rows = batch.rows()
        before: Any = [_NO_TIMESTAMP] * len(rows) if batch.timestamps is None else batch.timestamps.to_pylist()
        call = function.call
        iterator = iter(rows)
        try:
            stamps = [call(row, old) for row, old in zip(iterator, before, strict=True)]  # per row: the user's own
        except Exception as error:
            function.fail_at(error, rows, iterator)
        try:
            return pa.array(stamps, pa.int64(), from_pandas=False)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            index = next(i for i, stamp in enumerate(stamps) if not isinstance(stamp, int))
            raise TypeMismatchError(
                f"operator '{self._name}': extract_timestamp() must return milliseconds as an int, "
                f"but it returned {stamps[index]!r} for {rows[index]!r:.200}"
            ) from error


def _millis(values: pa.Array, name: str, operator: str) -> pa.Int64Array:
    kind = values.type
    try:
        if pa.types.is_timestamp(kind):
            return _millis_of_timestamps(values)
        if pa.types.is_date(kind):
            return values.cast(pa.timestamp("ms")).cast(pa.int64())
        if pa.types.is_integer(kind):
            return values.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise TypeMismatchError(
            f"operator '{operator}': a timestamp in `{name}` ({kind}) does not fit 64 bits of milliseconds: {error}"
        ) from error
    raise TypeMismatchError(
        f"operator '{operator}': `{name}` has type {kind}; timestamps must be a timestamp, a date or an integer of "
        "milliseconds since 1970 (UTC)"
    )


_UNITS_OF_MS: Final = {"us": 1_000, "ns": 1_000_000}


def _millis_of_timestamps(values: pa.Array) -> pa.Int64Array:
    """The millisecond that contains each timestamp. Raises pa.ArrowInvalid if it does not fit 64 bits."""
    unit = values.type.unit
    if unit in _UNITS_OF_MS and len(values) and pc.min(values.cast(pa.int64())).as_py() < 0:
        # Arrow truncates toward 1970, which would be the next millisecond before 1970, and perhaps the next window.
        return pa.array(np.floor_divide(values.cast(pa.int64()), _UNITS_OF_MS[unit]))
    # Seconds may be too large, which must be detected.
    return values.cast(pa.timestamp("ms", values.type.tz), safe=unit == "s").cast(pa.int64())


class _BatchGenerator(Protocol):
    """A watermark generator that processes whole batches."""

    def on_batch(self, batch: Batch) -> None: ...

    def on_periodic_emit(self, output: WatermarkOutput) -> None: ...


class _BoundedOutOfOrderness:
    """max timestamp - bound - 1; if `max_ahead_ms` is set, only over timestamps at most that far ahead of the clock."""

    def __init__(self, bound_ms: int, max_ahead_ms: int | None, clock: Clock, start_ms: int) -> None:
        """`start_ms`: the watermark from which it resumes."""
        self._bound_ms = bound_ms
        self._max_ahead_ms = max_ahead_ms
        self._clock = clock
        self._max_ms = start_ms + bound_ms + 1

    @property
    def watermark_ms(self) -> int:
        return self._max_ms - self._bound_ms - 1

    def on_batch(self, batch: Batch) -> None:
        stamps = batch.timestamps
        if stamps is None or not batch.num_rows:
            return
        latest_ms = pc.max(stamps).as_py()
        if self._max_ahead_ms is not None:
            limit_ms = self._clock.processing_time_ms() + self._max_ahead_ms
            if latest_ms > limit_ms:
                latest_ms = pc.max(stamps.filter(pc.less_equal(stamps, limit_ms))).as_py()
        if latest_ms is not None:
            self._max_ms = max(self._max_ms, latest_ms)

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        output.emit_watermark(self.watermark_ms)


class _NoWatermarks:
    def on_batch(self, batch: Batch) -> None:
        """Does nothing."""

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        """Does nothing."""


class _UserGenerator:
    """The user's own generator, called for every record."""

    def __init__(self, generator: WatermarkGenerator) -> None:
        self._generator = generator

    def rows(self, batch: Batch, output: WatermarkOutput) -> Iterator[int]:
        """Calls the generator for each row; yields, after each, the number of rows processed."""
        stamps = [MIN_TIMESTAMP_MS] * batch.num_rows if batch.timestamps is None else batch.timestamps.to_pylist()
        on_event = self._generator.on_event
        for told, (row, stamp) in enumerate(zip(batch.rows(), stamps, strict=True), start=1):
            on_event(row, stamp, output)  # per row: the user's own function
            yield told

    def on_periodic_emit(self, output: WatermarkOutput) -> None:
        self._generator.on_periodic_emit(output)


class WatermarkEmitter(WatermarkOutput):
    """Watermarks and idleness of one stream; `drain` yields what must follow the batches so far.

    A source's stream is read from splits, one after another (Flink: WatermarkOutputMultiplexer). The watermark is the
    minimum over the current split and all splits that wait to be read, each at its former position (`begin`, `hold`).
    The current split can be idle; a waiting one cannot, because nobody has looked. An emitted watermark never goes
    back.
    """

    def __init__(self, strategy: WatermarkStrategy, clock: Clock) -> None:
        self._strategy = strategy
        self._clock = clock
        timeout = strategy.idle_timeout
        self._idle_timeout_ns = -1 if timeout is None else timeout.to_millis() * 1_000_000
        self._inactive_since_ns = -1
        self._had_activity = False
        self._is_idle = False  # the status announced last
        self._emitted_ms = MIN_TIMESTAMP_MS
        self._out: list[Watermark | WatermarkStatus] = []
        self._split_ms = MIN_TIMESTAMP_MS  # of the split whose rows came last
        self._silent_ms: int | None = None  # of the split that has begun, before its first row
        self._split_is_idle = False
        self._waiting_ms: int | None = None  # the minimum over the waiting splits; None if there are none
        self._generator = _generator_of(strategy, clock, MIN_TIMESTAMP_MS)

    @property
    def watermark_ms(self) -> int:
        """The last watermark emitted; MIN_TIMESTAMP_MS before the first."""
        return self._emitted_ms

    @property
    def split_watermark_ms(self) -> int:
        """The progress of the current split: the value with which `begin` resumes."""
        if self._silent_ms is not None:
            return self._silent_ms
        generator = self._generator
        known_ms = generator.watermark_ms if isinstance(generator, _BoundedOutOfOrderness) else MIN_TIMESTAMP_MS
        return max(self._split_ms, known_ms)

    def restore(self, watermark_ms: int) -> None:
        """Resumes from a checkpoint: nothing up to its watermark is emitted again (the task emits that one itself)."""
        self._emitted_ms = watermark_ms

    def begin(self, watermark_ms: int) -> None:
        """Starts another split at this event time, MIN_TIMESTAMP_MS if unknown."""
        self._silent_ms = watermark_ms
        self._split_is_idle = False
        self._had_activity = True
        self._advance()

    def release(self) -> None:
        """Nothing is being read. A split without rows no longer holds event time back."""
        self._silent_ms = None

    def hold(self, waiting_ms: int | None) -> None:
        """The minimum watermark of the splits that wait to be read; None if there are none."""
        if waiting_ms != self._waiting_ms:
            self._waiting_ms = waiting_ms
            self._advance()

    def through(self, batch: Batch) -> Iterator[Batch | Watermark | WatermarkStatus]:
        """The batch with its timestamps, cut where the user's own generator emits a watermark between two rows."""
        if not batch.num_rows:
            return
        self._had_activity = True
        if self._silent_ms is not None:
            self._split_ms, self._silent_ms = self._silent_ms, None
            self._generator = _generator_of(self._strategy, self._clock, self._split_ms)
        if not isinstance(self._generator, _UserGenerator):
            self._generator.on_batch(batch)
            yield batch
            return
        start = 0
        for stop in self._generator.rows(batch, self):
            if self._out:
                yield batch.slice(start, stop - start)
                yield from self.drain()
                start = stop
        if start < batch.num_rows:
            yield batch.slice(start, batch.num_rows - start)

    def on_periodic(self, *, is_paused: bool = False) -> None:
        """The interval has passed. A source that is paused so that others catch up is not idle."""
        self._had_activity |= is_paused
        if self._check_idle():
            self.mark_idle()
        else:
            self._generator.on_periodic_emit(self)

    def emit_watermark(self, timestamp_ms: int) -> None:
        """A generator reports how far event time has advanced; a value that does not grow is dropped."""
        if timestamp_ms <= self._split_ms:
            return
        self._split_ms = timestamp_ms
        self._split_is_idle = False
        self._advance()

    def mark_idle(self) -> None:
        """The user's own generator reports that no records are expected for now."""
        self._split_is_idle = True
        self._advance()

    def mark_active(self) -> None:
        """The stream contributes to event time again."""
        self._split_is_idle = False
        self._advance()

    def drain(self) -> Iterator[Watermark | WatermarkStatus]:
        """What must be emitted now, in order."""
        out, self._out = self._out, []
        return iter(out)

    def _advance(self) -> None:
        """Emits changes of the minimum, and of whether there is anything to take it over."""
        split_ms = self._split_ms if self._silent_ms is None else self._silent_ms
        taken = [] if self._split_is_idle else [split_ms]
        if self._waiting_ms is not None:
            taken.append(self._waiting_ms)
        if self._is_idle is bool(taken):
            self._is_idle = not taken
            self._out.append(WatermarkStatus(idle=self._is_idle))
        if taken and min(taken) > self._emitted_ms:
            self._emitted_ms = min(taken)
            self._out.append(Watermark(self._emitted_ms))

    def _check_idle(self) -> bool:
        if self._idle_timeout_ns < 0:
            return False
        now_ns = self._clock.monotonic_ns()
        if self._had_activity:
            self._had_activity = False
            self._inactive_since_ns = -1
            return False
        if self._inactive_since_ns < 0:
            self._inactive_since_ns = now_ns
            return False
        return now_ns - self._inactive_since_ns > self._idle_timeout_ns


def _generator_of(strategy: WatermarkStrategy, clock: Clock, start_ms: int) -> _BatchGenerator | _UserGenerator:
    if strategy.generator is not None:
        return _UserGenerator(strategy.generator())
    bound, ahead = strategy.max_out_of_orderness, strategy.max_ahead
    if bound is None:
        return _NoWatermarks()
    return _BoundedOutOfOrderness(bound.to_millis(), None if ahead is None else ahead.to_millis(), clock, start_ms)
