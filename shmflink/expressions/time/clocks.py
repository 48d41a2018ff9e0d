"""The current time in expressions.

It is read once per batch, however often a program uses it; Flink reads it once per record in streaming mode. There is
no session time zone; functions of local time take a zone, by default UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import pyarrow as pa

from shmflink.core.clock import SYSTEM_CLOCK, Clock
from shmflink.core.lazy_imports import pc
from shmflink.expressions.registry import TypeFamily, Values, function

__all__ = ["using_clock"]

_clock: Final[ContextVar[Clock]] = ContextVar("clock of expressions", default=SYSTEM_CLOCK)


@contextmanager
def using_clock(clock: Clock) -> Iterator[None]:
    """Expressions that this thread evaluates inside the `with` block read this clock."""
    token = _clock.set(clock)
    try:
        yield
    finally:
        _clock.reset(token)


@function("current_timestamp", is_deterministic=False)
def _current_timestamp() -> Values:
    return pa.scalar(_clock.get().processing_time_ms(), pa.timestamp("ms", "UTC"))


@function("local_timestamp", TypeFamily.TIMESTAMP)
def _local_timestamp(moment: Values, zone: str) -> Values:
    return pc.local_timestamp(pc.cast(moment, pa.timestamp("ms", zone)))
