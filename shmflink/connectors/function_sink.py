"""A user's SinkFunction as a sink: called once for each record."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from typing import Any

from shmflink.connectors.base import DeliveryGuarantee, Sink, SinkWriter
from shmflink.core.batch import Batch
from shmflink.core.elements import MIN_TIMESTAMP_MS
from shmflink.operators.base import OperatorContext
from shmflink.operators.functions.user_function import UserFunction

__all__ = ["FunctionSink", "SinkContext"]


class SinkContext:
    """What `invoke` receives besides the record."""

    __slots__ = ("_clock", "stamp")

    def __init__(self, context: OperatorContext) -> None:
        self._clock = context.clock
        self.stamp = MIN_TIMESTAMP_MS

    def timestamp(self) -> int | None:
        """The record's timestamp in ms; None if it has none."""
        return None if self.stamp == MIN_TIMESTAMP_MS else self.stamp

    def current_processing_time(self) -> int:
        """Milliseconds since 1970 (UTC)."""
        now_ms: int = self._clock.processing_time_ms()
        return now_ms


class FunctionSink(Sink):
    """Calls `invoke(value, context)` of a function, which has the life cycle of all functions: `open`, `close`."""

    def __init__(self, function: Any) -> None:
        self._function = UserFunction(function, "invoke")

    def create_writer(self, context: OperatorContext) -> SinkWriter:
        return _FunctionWriter(self._function, context)

    def delivery_guarantee(self, configuration: Mapping[str, str]) -> DeliveryGuarantee:
        """At-least-once: a record may arrive again after a failure, and the function's effects cannot be undone."""
        return DeliveryGuarantee.AT_LEAST_ONCE


class _FunctionWriter(SinkWriter):
    def __init__(self, function: UserFunction, context: OperatorContext) -> None:
        self._function = function
        self._context = SinkContext(context)
        function.open(context)

    def write(self, batch: Batch) -> None:
        """Calls the user's function per record."""
        rows = batch.rows()
        stamps: Any = repeat(MIN_TIMESTAMP_MS) if batch.timestamps is None else batch.timestamps.to_pylist()
        call, context = self._function.call, self._context
        iterator = iter(rows)
        try:
            for row, stamp in zip(iterator, stamps, strict=False):
                context.stamp = stamp
                call(row, context)
        except Exception as error:
            self._function.fail_at(error, rows, iterator)

    def close(self) -> None:
        self._function.close()
